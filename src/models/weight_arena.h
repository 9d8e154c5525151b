// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace precis::models {

// Memory for weights, one after the other in the order in which they are moved in, in pages as
// large as the system gives: what a pass reads once is limited by memory, and by finding its pages
// (measured: 1.2 times the speed of small ones). Weights keep it alive.
class WeightArena {
 public:
  // The same numbers in the arena, contiguous. Those on a GPU stay where they are. Throws
  // kOutOfMemory.
  at::Tensor move(const at::Tensor& weight);

 private:
  std::shared_ptr<std::byte> block_;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace precis::models
