// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "models/executors/cpu_team.h"
#include "models/executors/cuda_graph.h"
#include "models/linear.h"
#include "ops/packed_attention.h"
#include "ops/rotary.h"
#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"

namespace precis::models {

// What all layers of one pass share.
struct DecoderPass {
  const DecoderConfig& config;
  const DecoderInput& input;
  KvCache& cache;
  const ops::RotaryTable& rotary;        // of layers without a window
  const ops::RotaryTable& local_rotary;  // of layers with one
  const Adapter* adapter;                // null: none
  const ops::PackedSequences* packed;    // null: attention is not one call for all sequences
  at::Tensor adapted = {};               // rows on which the adapter acts; undefined: all
  const LayerObserver* observer = nullptr;
};

// Attention and gated MLP with their norms, over stateless weights.
struct DecoderLayer {
  at::Tensor attention_norm;      // [hidden] float32, as are all gains
  at::Tensor attention_out_norm;  // sandwich norms only
  at::Tensor mlp_norm;
  at::Tensor mlp_out_norm;  // sandwich norms only
  at::Tensor q_norm;        // [head_dim], if there are any
  at::Tensor k_norm;
  Linear qkv;  // rows of q, then k, then v
  Linear output;
  Linear gate_up;  // rows of gate, then up
  Linear down;
  int64_t index = 0;

  // x: [num_tokens, hidden] -> the same, or of the rows at `wanted` [n] int64 alone.
  at::Tensor forward(const at::Tensor& x,
                     const DecoderPass& pass,
                     const at::Tensor& wanted = {}) const;

 private:
  at::Tensor attend(const at::Tensor& x, const DecoderPass& pass) const;
  at::Tensor feed_forward(const at::Tensor& x, const DecoderConfig& config) const;
};

// The layers and the final norm as one step of decoding reads them. Biases are float32 on the CPU.
ops::StepModel step_model(const std::vector<DecoderLayer>& layers,
                          const at::Tensor& final_norm,
                          const DecoderConfig& config);

// One step of decoding: forward() of all layers and the final norm over one row of each sequence.
// REQUIRES: ops::decode_step_applies, gradients off, no adapter, a contiguous cache of x's dtype.
at::Tensor decode_step(const ops::StepModel& model, const DecoderPass& pass);

// The same on a GPU. REQUIRES: steps.apply(x), gradients off, no adapter, a paged cache of x's
// dtype.
at::Tensor decode_step(const PagedSteps& steps, const DecoderInput& input, KvCache& cache);

// Reads "self_attn.*", "mlp.*" and the norms below `weights`.
DecoderLayer load_decoder_layer(const Weights& weights, const DecoderConfig& config, int64_t index);

// A norm's gain in float32, as applied: 1 + w where the configuration says so.
at::Tensor load_norm_weight(const Weights& weights,
                            std::string_view name,
                            int64_t size,
                            const DecoderConfig& config);

}  // namespace precis::models
