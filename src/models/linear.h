// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "models/weight_arena.h"
#include "ops/quantized_weight.h"
#include "precis/extend/weights.h"

namespace precis::models {

// y = x W^T + b. weight: [out, in]; bias: [out] or undefined.
struct Linear {
  at::Tensor weight;  // undefined if there is a quantised one
  at::Tensor bias;
  ops::QuantizedWeight quantized = {};

  at::Tensor operator()(const at::Tensor& x) const;  // [n, in] -> [n, out]

  // Elements and bytes of weight and bias.
  int64_t numel() const;
  int64_t nbytes() const;
};

struct LinearShape {
  int64_t out;
  int64_t in;
  bool bias;
};

Linear load_linear(const Weights& weights, std::string_view name, LinearShape shape);

// The layer with its weight quantised to `bits` (4 or 8).
Linear quantized(const Linear& linear, int64_t bits);

// The layer with its weight in the arena.
Linear moved(const Linear& linear, WeightArena& arena);

// Stacks the outputs of layers that read the same input: one product instead of several.
Linear fuse(at::TensorList weights, at::TensorList biases);

}  // namespace precis::models
