// SPDX-License-Identifier: Apache-2.0
#include "cache/block_pool.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <array>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/huge_pages.h"
#include "ops/kv_blocks.h"

namespace precis {

struct BlockPool::State {
  std::mutex mutex;
  std::vector<at::Tensor> free;  // memory of blocks that are not in use
  int64_t in_use = 0;
};

namespace {

// Blocks are allocated in slabs of huge pages: with small pages, attention over 2,048 tokens takes
// 1.2 times as long (measured), since its blocks are in many pages. Small blocks of tiny models are
// allocated one by one.
constexpr int64_t kBlocksPerSlab = 8;
constexpr int64_t kLeastSlabBlock = int64_t{64} << 10;

}  // namespace

BlockPool::BlockPool(KvShape shape, c10::TensorOptions options, int64_t max_blocks)
    : shape_(shape), options_(options), max_blocks_(max_blocks), state_(std::make_shared<State>()) {
  PRECIS_CHECK(max_blocks >= 0,
               kInvalidArgument,
               "block pool: the number of blocks must not be negative, got ",
               max_blocks);
}

at::Tensor BlockPool::allocate() {
  // Blocks outlive the caller's inference mode.
  const c10::InferenceMode normal(false);
  at::Tensor memory;
  {
    const std::lock_guard lock(state_->mutex);
    PRECIS_CHECK(max_blocks_ == 0 || state_->in_use < max_blocks_,
                 kOutOfMemory,
                 "block pool: all ",
                 max_blocks_,
                 " blocks are in use");
    if (!state_->free.empty()) {
      memory = std::move(state_->free.back());
      state_->free.pop_back();
    }
    ++state_->in_use;
  }
  // Runs in destructors, so it must not throw: if the list cannot grow, the memory is freed.
  const auto release = [state = state_](at::Tensor returned) {
    const std::lock_guard lock(state->mutex);
    --state->in_use;
    try {
      if (returned.defined()) state->free.push_back(std::move(returned));
    } catch (const std::bad_alloc&) {
    }
  };
  try {
    if (!memory.defined()) memory = new_memory();
    return at::from_blob(
        memory.mutable_data_ptr(),
        memory.sizes(),
        [release, memory](void*) { release(memory); },
        memory.options(),
        memory.device());
  } catch (...) {
    release({});
    throw;
  }
}

at::Tensor BlockPool::new_memory() {
  const std::array sizes{
      shape_.num_layers, shape_.num_kv_heads, int64_t{2}, ops::kBlockSize, shape_.head_dim};
  if (!options_.device().is_cpu() || block_bytes() < kLeastSlabBlock)
    return at::empty(sizes, options_);
  const auto bytes = static_cast<size_t>(block_bytes());
  const auto slab = allocate_huge_pages(kBlocksPerSlab * bytes, "cache");
  const auto piece = [&](size_t i) {
    return at::from_blob(
        slab.get() + i * bytes, sizes, [slab](void*) {}, options_);
  };
  std::vector<at::Tensor> others;
  for (size_t i = 1; i < kBlocksPerSlab; ++i) others.push_back(piece(i));
  const std::lock_guard lock(state_->mutex);
  state_->free.insert(state_->free.end(), others.rbegin(), others.rend());
  return piece(0);
}

at::Tensor BlockPool::clone(const at::Tensor& block) {
  at::Tensor copy = allocate();
  copy.copy_(block);
  return copy;
}

int64_t BlockPool::blocks_in_use() const {
  const std::lock_guard lock(state_->mutex);
  return state_->in_use;
}

int64_t BlockPool::block_bytes() const {
  return ops::kBlockSize *
         shape_.bytes_per_token(static_cast<int64_t>(options_.dtype().itemsize()));
}

}  // namespace precis
