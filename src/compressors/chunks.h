// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"

namespace precis {

// A run of a segment's tokens that is read in one pass.
using Chunk = std::span<const TokenId>;

// The chunks of all segments, in order.
struct Chunks {
  std::vector<Chunk> chunks;
  std::vector<int64_t> ends;  // [num_segments] end of each segment's chunks
};

// Each segment in as few chunks of at most `max_chunk` tokens as possible. Borrows the segments.
Chunks divide_segments(std::span<const Segment> segments, int64_t max_chunk);

// Joins the memories of chunks, [k, hidden] each, to one memory for each segment.
std::vector<MemoryTensors> join_slots(const std::vector<at::Tensor>& slots,
                                      std::span<const int64_t> ends);

// The same for cached memories, each of which is rebased to follow the one before. With
// MemoryPositions::kRows a memory takes as many positions as it has tokens, and next_position is
// set accordingly.
std::vector<MemoryTensors> join_cached(const std::vector<CachedTokens>& chunks,
                                       std::span<const int64_t> ends,
                                       MemoryPositions positions,
                                       const DecoderConfig& config);

}  // namespace precis
