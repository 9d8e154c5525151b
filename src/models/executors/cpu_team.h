// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ops/quantized_weight.h"
#include "ops/rotary.h"
#include "precis/extend/decoder.h"

namespace precis::ops {

// x W^T + b.
struct StepLinear {
  at::Tensor weight;  // [outputs, width] float32 or bfloat16; undefined if quantised
  QuantizedWeight quantized;
  at::Tensor bias;  // float32 [outputs], or undefined
};

// Gains are float32, undefined where the model has no such norm.
struct StepLayer {
  at::Tensor attention_norm;  // [hidden]
  at::Tensor attention_out_norm;
  at::Tensor mlp_norm;
  at::Tensor mlp_out_norm;
  at::Tensor q_norm;  // [head_dim]
  at::Tensor k_norm;
  StepLinear qkv;  // rows of q, then k, then v
  StepLinear output;
  StepLinear gate_up;  // rows of gate, then up
  StepLinear down;
  bool windowed = false;
};

// A decoder's layers as decode_step() reads them.
struct StepModel {
  DecoderConfig config;
  std::vector<StepLayer> layers;
  at::Tensor final_norm;  // [hidden] float32
};

// Keys and values of a sequence in one layer: [kv_heads, capacity, head_dim] each, contiguous, of
// which rows up to length - 1 are held; row length is the new one's.
struct StepCache {
  at::Tensor keys;
  at::Tensor values;
  int64_t length;
};

struct StepInput {
  at::Tensor x;                     // [sequences, hidden], of the model's dtype
  const RotaryTable& rotary;        // of layers without a window
  const RotaryTable& local_rotary;  // of layers with one
  std::vector<StepCache> cached;    // layer * sequences + sequence
};

// Whether decode_step() can run the model over so many sequences faster than op by op: on the CPU,
// in a dtype that the kernels know, and not so many that ATen's products are ahead.
bool decode_step_applies(const StepModel& model, const at::Tensor& x);

// All layers and the final norm over the next row of each sequence, whose keys and values are
// written behind those held: [sequences, hidden], of x's dtype. Numbers between are float32. One
// team of threads goes through all of it, in one scratch buffer: op by op, calls and waiting
// take as long as reading small weights. REQUIRES: decode_step_applies, gradients off.
at::Tensor decode_step(const StepModel& model, const StepInput& input);

}  // namespace precis::ops
