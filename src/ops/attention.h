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
  // [num_sequences] keys and values of each sequence, this pass's tokens at the end.
  std::span<const KvView> views;
  const PackedSequences* packed = nullptr;  // on a GPU: the same lengths, in device memory
  // [num_tokens] int64, or undefined: as of DecoderInput.
  at::Tensor visible_cache_len = {};
};

// Causal grouped-query attention of each token over its sequence: all of its ragged memories, and
// its tokens up to the query itself, or as visible_cache_len says. Picks one of three kernels: one
// call over packed sequences (GPU), few queries over blocks (CPU; blocks that several sequences
// share are read once), or libtorch's. A token's result does not depend on the other sequences;
// with the kernel for few queries it is the same to the last bit. -> [num_tokens, heads, head_dim].
// Throws kInvalidArgument for shapes and dtypes that do not fit each other, kUnsupported for a
// window over ragged memories.
at::Tensor attention(const AttentionInput& input, const AttentionOptions& options);

namespace reference {
at::Tensor attention(const AttentionInput& input, const AttentionOptions& options);
}

}  // namespace precis::ops
