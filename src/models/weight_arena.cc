// SPDX-License-Identifier: Apache-2.0
#include "models/weight_arena.h"

#include <ATen/ATen.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/check.h"

namespace precis::models {
namespace {

constexpr size_t kPage = size_t{2} << 20;    // of those that are called huge
constexpr size_t kBlock = size_t{64} << 20;  // pages that nothing is put into are never made
constexpr size_t kAlignment = 64;

size_t rounded_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// Begins with a page.
std::shared_ptr<std::byte> new_block(size_t size) {
  const size_t whole = size + kPage;
  void* const mapped =
      ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  PRECIS_CHECK(
      mapped != MAP_FAILED, kOutOfMemory, "weights: no memory for ", size >> 20, " MB more");
  const auto begin = reinterpret_cast<uintptr_t>(mapped);
  auto* const block = static_cast<std::byte*>(mapped) + (rounded_up(begin, kPage) - begin);
  ::madvise(block, size, MADV_HUGEPAGE);  // where the system has none, small pages do
  return {block, [mapped, whole](std::byte*) { ::munmap(mapped, whole); }};
}

}  // namespace

at::Tensor WeightArena::move(const at::Tensor& weight) {
  if (!weight.defined() || !weight.is_cpu() || weight.numel() == 0) return weight;
  const size_t bytes = rounded_up(weight.nbytes(), kAlignment);
  if (size_ - used_ < bytes) {
    size_ = rounded_up(std::max(bytes, kBlock), kPage);
    block_ = new_block(size_);
    used_ = 0;
  }
  at::Tensor moved = at::from_blob(
      block_.get() + used_, weight.sizes(), [block = block_](void*) {}, weight.options());
  used_ += bytes;
  moved.copy_(weight);
  return moved;
}

}  // namespace precis::models
