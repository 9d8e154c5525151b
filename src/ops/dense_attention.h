// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis::ops {

struct AttentionOptions {
  double scale = 1.0;
  int64_t window = 0;  // keys that a query attends to, its own included; 0: all up to its own
};

// Causal grouped-query attention of one or more sequences of equal lengths. The queries are the
// last n of the m tokens. q: [batch, heads, n, head_dim]; k, v: [batch, kv_heads, m, head_dim], m
// >= n, heads a multiple of kv_heads.
// visible_cache_len, if defined, [n] int64: query i attends to the first visible_cache_len[i] of
// the m - n keys before the queries' own, and to its own key alone; for a window its position
// follows the last of them. REQUIRES: 0 to m - n.
// -> [batch, heads, n, head_dim]
at::Tensor dense_attention(const at::Tensor& q,
                           const at::Tensor& k,
                           const at::Tensor& v,
                           const AttentionOptions& options,
                           const at::Tensor& visible_cache_len = {});

namespace reference {
at::Tensor dense_attention(const at::Tensor& q,
                           const at::Tensor& k,
                           const at::Tensor& v,
                           const AttentionOptions& options,
                           const at::Tensor& visible_cache_len = {});
}

}  // namespace precis::ops
