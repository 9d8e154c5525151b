// SPDX-License-Identifier: Apache-2.0
#include "models/weight_arena.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/huge_pages.h"

namespace precis::models {
namespace {

constexpr size_t kBlock = size_t{64} << 20;
constexpr size_t kAlignment = 64;

size_t rounded_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

at::Tensor WeightArena::move(const at::Tensor& weight) {
  if (!weight.defined() || !weight.is_cpu() || weight.numel() == 0) return weight;
  const size_t bytes = rounded_up(weight.nbytes(), kAlignment);
  if (size_ - used_ < bytes) {
    size_ = std::max(bytes, kBlock);
    block_ = allocate_huge_pages(size_, "weights");
    used_ = 0;
  }
  at::Tensor moved = at::from_blob(
      block_.get() + used_, weight.sizes(), [block = block_](void*) {}, weight.options());
  used_ += bytes;
  moved.copy_(weight);
  return moved;
}

}  // namespace precis::models
