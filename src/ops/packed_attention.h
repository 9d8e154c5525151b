// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "ops/dense_attention.h"

namespace precis::ops {

// Packed sequences: cumulative lengths of queries and of keys, [sequences + 1] each. The queries of
// a sequence are its last tokens.
struct PackedSequences {
  std::vector<int64_t> queries;
  std::vector<int64_t> keys;
  at::Tensor cu_seqlens_q;  // on a GPU: the same, int32
  at::Tensor cu_seqlens_k;
};

PackedSequences packed_sequences(std::vector<int64_t> queries,
                                 std::vector<int64_t> keys,
                                 c10::Device device);

// Whether packed_attention() is one call for all sequences: on a GPU, gradients off.
bool attention_is_packed(const at::Tensor& q);

// dense_attention() of each sequence over its own tokens. q: [n, heads, head_dim]; k, v: [m,
// kv_heads, head_dim]. -> [n, heads, head_dim]
at::Tensor packed_attention(const at::Tensor& q,
                            const at::Tensor& k,
                            const at::Tensor& v,
                            const PackedSequences& sequences,
                            const AttentionOptions& options);

namespace reference {
at::Tensor packed_attention(const at::Tensor& q,
                            const at::Tensor& k,
                            const at::Tensor& v,
                            const PackedSequences& sequences,
                            const AttentionOptions& options);
}

}  // namespace precis::ops
