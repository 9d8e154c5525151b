// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "precis/extend/kv_cache.h"
#include "precis/extend/memory_tensors.h"

namespace precis {

// Sizes of the keys of a cached memory. num_layers and num_kv_heads of a ragged one are those of
// its lengths.
KvShape kv_shape_of(const CachedTokens& memory);

// First token of each head and the end, [num_layers * num_kv_heads + 1], for lengths [num_layers,
// num_kv_heads] int64.
std::vector<int64_t> head_starts(const at::Tensor& lengths);

// The tokens [sum of lengths, head_dim] of several ragged tensors, joined head by head.
// lengths: [num_layers, num_kv_heads] of each.
at::Tensor join_heads(const std::vector<at::Tensor>& tensors,
                      const std::vector<at::Tensor>& lengths);

// Ragged tensors without the first `count` tokens of each head.
at::Tensor without_first(const at::Tensor& tokens, const at::Tensor& lengths, int64_t count);

// A memory of ragged or uniform tensors: uniform (4 dimensions) where all lengths are equal.
CachedTokens simplest(CachedTokens ragged);

// The memory without the first `count` tokens of each head. REQUIRES: every head has as many.
CachedTokens without_first(const CachedTokens& memory, int64_t count);

// What a cache holds of a ragged memory, converted to `options`.
RaggedKv to_ragged_kv(const CachedTokens& memory, c10::TensorOptions options);

}  // namespace precis
