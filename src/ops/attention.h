// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis::ops {

struct AttentionOptions {
  double scale = 1.0;
  int64_t window = 0;  // keys that a query sees, itself included; 0: all up to itself
};

// Causal grouped-query attention of one or more sequences of equal lengths. The queries are the
// last n of the m rows. q: [batch, heads, n, head_dim]; k, v: [batch, kv_heads, m, head_dim], m >=
// n, heads a multiple of kv_heads.
// `seen`, if defined, [n] int64: instead of all keys up to its own, query i sees the first seen[i]
// of the m - n keys before the queries' own, and its own alone, as if that stood behind them.
// REQUIRES: seen from 0 to m - n.
// -> [batch, heads, n, head_dim]
at::Tensor attention(const at::Tensor& q,
                     const at::Tensor& k,
                     const at::Tensor& v,
                     const AttentionOptions& options,
                     const at::Tensor& seen = {});

namespace reference {
at::Tensor attention(const at::Tensor& q,
                     const at::Tensor& k,
                     const at::Tensor& v,
                     const AttentionOptions& options,
                     const at::Tensor& seen = {});
}

}  // namespace precis::ops
