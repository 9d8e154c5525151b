// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "ops/dense_attention.h"
#include "ops/packed_attention.h"
#include "precis/extend/kv_cache.h"

namespace precis::ops {

// The tokens of a pass over one layer, of one or more sequences, packed without padding.
struct AttentionInput {
  at::Tensor q;  // [num_tokens, heads, head_dim], rotated
  at::Tensor k;  // [num_tokens, kv_heads, head_dim], rotated
  at::Tensor v;
  std::span<const int64_t> cu_seqlens;  // [num_sequences + 1]
  // [num_sequences] what each sequence holds, this pass's tokens at its end.
  std::span<const KvView> views;
  const PackedSequences* packed = nullptr;  // on a GPU: the same lengths, in its memory
  // [num_tokens] int64, or undefined: as of DecoderInput.
  at::Tensor visible_cache_len = {};
};

// Causal grouped-query attention of each token over its sequence: all of its ragged memories, and
// its tokens up to the query itself, or as visible_cache_len says. Picks among the kernels for one
// call over packed sequences (GPU), for few queries over blocks (CPU, also of different sequences
// that share blocks, which are then read once) and libtorch's. A token's result does not depend on
// the sequences beside it; by the kernel for few queries not even in the last bit.
// -> [num_tokens, heads, head_dim]. Throws kInvalidArgument for shapes and dtypes that do not fit
// each other, kUnsupported for a window over ragged memories.
at::Tensor attention(const AttentionInput& input, const AttentionOptions& options);

namespace reference {
at::Tensor attention(const AttentionInput& input, const AttentionOptions& options);
}

}  // namespace precis::ops
