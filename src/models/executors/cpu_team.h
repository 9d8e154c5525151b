// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "models/layer.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// A step of decoding on the CPU: all layers and the final norm over one new token of each sequence.
// One team of threads goes through all of it, in one scratch buffer: op by op, calls and waiting
// take as long as reading small weights. Numbers between are float32.
class CpuTeam {
 public:
  // The stack is borrowed.
  explicit CpuTeam(const LayerStack& stack);

  // Whether tokens x [n, hidden] are run faster this way than op by op: on the CPU, in a dtype that
  // the kernels know, and not so many that ATen's products are ahead.
  bool applies(const at::Tensor& x) const;

  // -> [sequences, hidden], of x's dtype. Throws kInvalidArgument for a cache of another shape or
  // dtype, which is then as it was. REQUIRES: applies(x), gradients off, one token of each of the
  // input's sequences, which are distinct.
  at::Tensor run(const DecoderInput& input, KvCache& cache) const;

  // Of a layer's linears(), float32 [outputs] or undefined.
  using Biases = std::array<at::Tensor, 4>;

 private:
  const LayerStack& stack_;
  std::vector<Biases> biases_;  // [num_layers]
};

}  // namespace precis::models
