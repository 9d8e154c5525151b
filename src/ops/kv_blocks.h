// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <utility>

namespace precis::ops {

// Tokens of a sequence in blocks: [layers, kv_heads, 2, kBlockSize, head_dim] each, contiguous,
// keys before values. Token i is token i % kBlockSize of block i / kBlockSize.
inline constexpr int64_t kBlockSize = 64;

inline int64_t blocks_for(int64_t tokens) { return (tokens + kBlockSize - 1) / kBlockSize; }

// Writes keys and values of one layer, [kv_heads, n, head_dim] each, to tokens first .. first + n -
// 1.
void write_to_blocks(std::span<const at::Tensor> blocks,
                     int64_t layer,
                     int64_t first,
                     const at::Tensor& keys,
                     const at::Tensor& values);

// A copy of tokens first .. first + count - 1 of one layer: keys and values, [kv_heads, count,
// head_dim] each. REQUIRES: count at least 1.
std::pair<at::Tensor, at::Tensor> read_from_blocks(std::span<const at::Tensor> blocks,
                                                   int64_t layer,
                                                   int64_t first,
                                                   int64_t count);

namespace reference {
std::pair<at::Tensor, at::Tensor> read_from_blocks(std::span<const at::Tensor> blocks,
                                                   int64_t layer,
                                                   int64_t first,
                                                   int64_t count);
void write_to_blocks(std::span<const at::Tensor> blocks,
                     int64_t layer,
                     int64_t first,
                     const at::Tensor& keys,
                     const at::Tensor& values);
}  // namespace reference

}  // namespace precis::ops
