// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "models/layer.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// Decode steps on the CPU: all layers and the final norm over one new token of each sequence. A
// team of threads runs all layers in one scratch buffer: op by op, calls and waiting take as long
// as reading small weights. Intermediate values are float32.
class CpuTeam {
 public:
  // The stack is borrowed.
  explicit CpuTeam(const LayerStack& stack);

  // Whether tokens x [n, hidden] run faster this way than op by op: on the CPU, in a dtype that the
  // kernels support, and few enough that the kernels are faster than ATen's products.
  bool applies(const at::Tensor& x) const;

  // -> [sequences, hidden], of x's dtype. Throws kInvalidArgument for a cache of another shape or
  // dtype, which is then unchanged. REQUIRES: applies(x), gradients off, one token of each of the
  // input's sequences, which are distinct.
  at::Tensor run(const DecoderInput& input, KvCache& cache) const;

  // Biases of a layer's linears(), float32 [outputs] or undefined.
  using Biases = std::array<at::Tensor, 4>;

 private:
  const LayerStack& stack_;
  std::vector<Biases> biases_;  // [num_layers]
};

}  // namespace precis::models
