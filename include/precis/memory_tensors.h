// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>

namespace precis {

// Memory that is read as input embeddings (SelfCP, ICAE, IC-Former): free of position.
struct SoftTokens {
  at::Tensor embeddings;  // [num_memory, hidden]
};

// Memory that is read as past keys and values (Gisting): positions are baked in.
struct CachedTokens {
  at::Tensor keys;             // [num_layers, num_kv_heads, num_memory, head_dim], already rotated
  at::Tensor values;           // same shape
  int64_t first_position = 0;  // position of the first memory token
  int64_t next_position = 0;   // position of the token that follows
};

// What a compressor leaves of a segment: on the device and in the dtype of the decoder.
using MemoryTensors = std::variant<SoftTokens, CachedTokens>;

// Number of memory tokens.
int64_t num_memory_tokens(const MemoryTensors& memory);

}  // namespace precis
