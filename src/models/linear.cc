// SPDX-License-Identifier: Apache-2.0
#include "models/linear.h"

#include <ATen/ops/cat.h>

#include "ops/linear.h"
#include "ops/quantized_linear.h"

namespace precis::models {

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return quantized.defined() ? ops::linear(x, quantized, bias) : ops::linear(x, weight, bias);
}

int64_t Linear::numel() const {
  return (quantized.defined() ? quantized.numel() : weight.numel()) +
         (bias.defined() ? bias.numel() : 0);
}

int64_t Linear::nbytes() const {
  return (quantized.defined() ? quantized.nbytes() : static_cast<int64_t>(weight.nbytes())) +
         (bias.defined() ? static_cast<int64_t>(bias.nbytes()) : 0);
}

Linear quantized(const Linear& linear, int64_t bits) {
  return {{}, linear.bias, ops::quantize(linear.weight, bits)};
}

Linear moved(const Linear& linear, WeightArena& arena) {
  const ops::QuantizedWeight& own = linear.quantized;
  return {arena.move(linear.weight),
          linear.bias,
          {own.bits, arena.move(own.codes), arena.move(own.scales), arena.move(own.mins)}};
}

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

}  // namespace precis::models
