// SPDX-License-Identifier: Apache-2.0
#include "nn/linear.h"

#include <ATen/ops/cat.h>

#include "ops/linear.h"

namespace precis::nn {

at::Tensor Linear::operator()(const at::Tensor& x) const { return ops::linear(x, weight, bias); }

Linear load_linear(const Weights& weights, std::string_view name, LinearShape shape) {
  const Weights own = weights.scope(name);
  Linear linear;
  linear.weight = own.take("weight", {shape.out, shape.in});
  if (shape.bias) linear.bias = own.take("bias", {shape.out});
  return linear;
}

Linear fuse(at::TensorList weights, at::TensorList biases) {
  Linear linear;
  linear.weight = at::cat(weights, 0);
  if (biases[0].defined()) linear.bias = at::cat(biases, 0);
  return linear;
}

}  // namespace precis::nn
