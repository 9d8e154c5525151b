// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "models/linear.h"
#include "ops/rotary.h"
#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"

namespace precis::models {

// The weights of one layer: attention and gated MLP with their norms. Every feature of a layer is a
// member; an executor (models/executors) supports all of them or refuses the layer in applies().
// Norm weights are float32, as they are applied, and undefined where the model has no such norm.
struct DecoderLayer {
  at::Tensor attention_norm;      // [hidden]
  at::Tensor attention_out_norm;  // sandwich norms only
  at::Tensor mlp_norm;
  at::Tensor mlp_out_norm;  // sandwich norms only
  at::Tensor q_norm;        // [head_dim]
  at::Tensor k_norm;
  Linear qkv;  // outputs of q, then k, then v
  Linear output;
  Linear gate_up;  // outputs of gate, then up
  Linear down;
  int64_t index = 0;
  bool windowed =
      false;  // sliding-window attention, with the local rotary embedding if there is one

  std::array<const Linear*, 4> linears() const { return {&qkv, &output, &gate_up, &down}; }
  std::array<Linear*, 4> linears() { return {&qkv, &output, &gate_up, &down}; }
  std::array<at::Tensor, 6> norms() const {
    return {attention_norm, attention_out_norm, mlp_norm, mlp_out_norm, q_norm, k_norm};
  }
};

// What executors run: all layers and the final norm.
struct LayerStack {
  DecoderConfig config;
  std::vector<DecoderLayer> layers;
  at::Tensor final_norm;         // [hidden] float32
  at::Tensor frequencies;        // [head_dim / 2] float32, as ops::rotary_frequencies
  at::Tensor local_frequencies;  // of windowed layers; undefined: the same
};

struct RotaryTables {
  ops::RotaryTable global;
  ops::RotaryTable local;  // of windowed layers

  const ops::RotaryTable& of(const DecoderLayer& layer) const {
    return layer.windowed ? local : global;
  }
};

// positions: [n] int64.
RotaryTables rotary_tables(const LayerStack& stack, const at::Tensor& positions);

// Reads "self_attn.*", "mlp.*" and the norms below `weights`.
DecoderLayer load_decoder_layer(const Weights& weights, const DecoderConfig& config, int64_t index);

// A norm's weight in float32, as applied: 1 + w where the configuration says so.
at::Tensor load_norm_weight(const Weights& weights,
                            std::string_view name,
                            int64_t size,
                            const DecoderConfig& config);

}  // namespace precis::models
