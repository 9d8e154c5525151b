// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis {

// Attention matching (Fast KV Compaction via Attention Matching, arXiv 2602.16284): replaces a
// block of cached tokens by fewer keys and values, for which the attention of reference queries has
// almost the same output and the same mass (sum of exp(score)). All in float32; heads are
// independent of each other.

// A block of cached tokens of `h` key/value heads, and the reference queries that attend to it.
struct BlockHeads {
  at::Tensor queries;  // [h, m, head_dim] rotated, times the attention scale
  at::Tensor keys;     // [h, n, head_dim] rotated
  at::Tensor values;   // [h, n, head_dim]
  // [h, m] log of the sum of exp(score) over the visible tokens outside the block; minus infinity
  // where there are none.
  at::Tensor outside;
  // [h, n] scores by which candidates are chosen; undefined: by their importance, the root mean
  // square of the attention that they receive from the queries.
  at::Tensor scores = {};
};

struct FittedRows {
  at::Tensor rows;    // [h, t] int64, ascending: indices of the kept tokens
  at::Tensor keys;    // [h, t, head_dim], rounded to `dtype` but in float32
  at::Tensor values;  // [h, t, head_dim]
};

// log of the sum of exp(score) of each query over the tokens, [h, m].
// queries: [h, m, head_dim], keys: [h, n, head_dim].
at::Tensor log_mass(const at::Tensor& queries, const at::Tensor& keys);

// Selects `count` tokens of each head and fits their keys and values to the block. Keys are rounded
// to `dtype`, in which they will be stored, before values are fitted to them. With count == n keys
// and values stay unchanged. REQUIRES: 1 <= count <= n.
FittedRows fit_rows(const BlockHeads& block, int64_t count, at::ScalarType dtype);

}  // namespace precis
