// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis {

// Attention matching (Fast KV Compaction via Attention Matching, arXiv 2602.16284): of a block of
// cached rows, few keys and values over which reference queries find almost what they find over all
// of the block, in direction and in weight. All in float32; heads are independent of each other.

// The rows of `h` key/value heads, and what looks at them.
struct BlockHeads {
  at::Tensor queries;  // [h, m, head_dim] rotated, times the attention scale
  at::Tensor keys;     // [h, n, head_dim] rotated
  at::Tensor values;   // [h, n, head_dim]
  // [h, m] log of the sum of exp(score) over all rows outside the block that the queries see;
  // minus infinity where there are none.
  at::Tensor outside;
};

struct FittedRows {
  at::Tensor rows;    // [h, t] int64, ascending: whose keys were taken
  at::Tensor keys;    // [h, t, head_dim], rounded to `dtype` but in float32
  at::Tensor values;  // [h, t, head_dim]
};

// log of the sum of exp(score) of each query over the rows, [h, m].
// queries: [h, m, head_dim], keys: [h, n, head_dim].
at::Tensor log_mass(const at::Tensor& queries, const at::Tensor& keys);

// Selects `count` rows of each head and fits their keys and values to the block. Keys are rounded
// to `dtype`, in which they will be stored, before values are fitted to them. REQUIRES: 1 <= count
// <= n. With count == n nothing is fitted, and the rows are those of the block.
FittedRows fit_rows(const BlockHeads& block, int64_t count, at::ScalarType dtype);

}  // namespace precis
