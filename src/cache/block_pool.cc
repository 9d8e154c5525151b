// SPDX-License-Identifier: Apache-2.0
#include "cache/block_pool.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/kv_blocks.h"

namespace precis {

struct BlockPool::State {
  std::mutex mutex;
  std::vector<at::Tensor> free;  // memory of blocks that are not in use
  int64_t in_use = 0;
};

BlockPool::BlockPool(KvShape shape, c10::TensorOptions options, int64_t max_blocks)
    : shape_(shape), options_(options), max_blocks_(max_blocks), state_(std::make_shared<State>()) {
  PRECIS_CHECK(max_blocks >= 0,
               kInvalidArgument,
               "block pool: the number of blocks must not be negative, got ",
               max_blocks);
}

at::Tensor BlockPool::allocate() {
  // Blocks outlive the mode that a caller is in.
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
  // Runs in destructors: where there is no room to remember the memory, it is freed.
  const auto release = [state = state_](at::Tensor returned) {
    const std::lock_guard lock(state->mutex);
    --state->in_use;
    try {
      if (returned.defined()) state->free.push_back(std::move(returned));
    } catch (const std::bad_alloc&) {
    }
  };
  try {
    if (!memory.defined())
      memory = at::empty(
          {shape_.num_layers, 2, shape_.num_kv_heads, ops::kBlockSize, shape_.head_dim}, options_);
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
