// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "precis/weights.h"

namespace precis::nn {

// y = x W^T + b. weight: [out, in]; bias: [out] or undefined.
struct Linear {
  at::Tensor weight;
  at::Tensor bias;

  at::Tensor operator()(const at::Tensor& x) const;  // [n, in] -> [n, out]
};

struct LinearShape {
  int64_t out;
  int64_t in;
  bool bias;
};

Linear load_linear(const Weights& weights, std::string_view name, LinearShape shape);

// Stacks the outputs of layers that read the same input: one product instead of several.
Linear fuse(at::TensorList weights, at::TensorList biases);

}  // namespace precis::nn
