// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "precis/extend/kv_cache.h"

namespace precis::ops {

// The blocks that the query tokens of a pass attend to, as kernels::BlockAttentionArguments takes
// them. A block that several sequences share is listed once, with all its readers. A table serves
// all layers with the same window. Borrows the views' blocks and ragged memories.
struct BlockTable {
  std::vector<kernels::AttendedBlock> blocks;
  std::vector<kernels::BlockReader> readers;
  std::vector<int32_t> num_splits;  // [queries]
  int64_t max_splits = 0;           // largest of num_splits
};

// cu_seqlens: [views + 1], the queries of each view, its last tokens; window: as of
// AttentionOptions. REQUIRES: views over blocks, at least as many tokens as queries.
BlockTable block_table(std::span<const KvView> views,
                       std::span<const int64_t> cu_seqlens,
                       int64_t window);

}  // namespace precis::ops
