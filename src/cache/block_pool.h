// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorOptions.h>

#include <cstdint>
#include <memory>

#include "precis/extend/kv_cache.h"

namespace precis {

// Hands out blocks of keys and values: [num_layers, num_kv_heads, 2, ops::kBlockSize, head_dim]
// each, contiguous. A block is a tensor: its reference count says how many sequences hold it, and
// its memory returns to the pool with the last of them, which may be after the pool is gone. Safe
// for use from several threads at once.
class BlockPool {
 public:
  // max_blocks: blocks in use at once; 0: no limit.
  BlockPool(KvShape shape, c10::TensorOptions options, int64_t max_blocks = 0);

  // A block of undefined contents. Throws kOutOfMemory where max_blocks are in use.
  at::Tensor allocate();
  // A copy of a block.
  at::Tensor clone(const at::Tensor& block);

  const KvShape& shape() const { return shape_; }
  const c10::TensorOptions& options() const { return options_; }
  int64_t max_blocks() const { return max_blocks_; }
  int64_t blocks_in_use() const;
  int64_t block_bytes() const;

 private:
  struct State;  // outlives the pool with its blocks

  at::Tensor new_memory();

  KvShape shape_;
  c10::TensorOptions options_;
  int64_t max_blocks_;
  std::shared_ptr<State> state_;
};

}  // namespace precis
