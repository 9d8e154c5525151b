// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <variant>

namespace precis {

struct DecoderConfig;

// Memory that is read as input embeddings (SelfCP, ICAE, IC-Former), at any position.
struct SoftTokens {
  at::Tensor embeddings;  // [num_memory, hidden]
};

// Memory that is read as past keys and values (attention matching, KVzip, Gisting). Keys are
// rotated for the positions given here.
struct CachedTokens {
  // [num_layers, num_kv_heads, num_memory, head_dim], already rotated. Ragged: [sum of lengths,
  // head_dim], the tokens of one head after those of the head before, layer by layer.
  at::Tensor keys;
  at::Tensor values;           // same shape
  int64_t first_position = 0;  // position of the first memory token
  int64_t next_position = 0;   // position of the token that follows
  // Leading tokens that are attention sinks (arXiv 2309.17453): read where nothing precedes the
  // memory, and dropped after other tokens, which have sinks of their own.
  int64_t num_sinks = 0;
  // Ragged: number of tokens of each head, sinks included, [num_layers, num_kv_heads] int64 on the
  // CPU. Undefined: num_memory in every head.
  at::Tensor lengths = {};

  bool is_ragged() const { return lengths.defined(); }
  // Memory tokens; ragged: the mean over all heads, rounded up.
  int64_t num_tokens() const;
};

// A compressor's output for one segment, on the device and in the dtype of the decoder.
using MemoryTensors = std::variant<SoftTokens, CachedTokens>;

// Number of memory tokens.
int64_t num_memory_tokens(const MemoryTensors& memory);

// The same memory with its first token at another position. Attention sees differences of positions
// only, so keys are turned by the difference, each layer with its own rotary embedding; values
// stay. The result is what the model would have computed with all of its rows that much further on,
// up to rounding. Differentiable. Throws kInvalidArgument for keys of another model's shape and for
// positions outside its window.
CachedTokens rebase(const CachedTokens& memory,
                    const DecoderConfig& config,
                    int64_t new_first_position);

}  // namespace precis
