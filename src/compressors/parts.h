// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"

namespace precis {

// A run of a segment's tokens that one pass reads.
using Part = std::span<const TokenId>;

// The parts of all segments, one after the other.
struct Parts {
  std::vector<Part> parts;
  std::vector<int64_t> ends;  // [num_segments] where each segment's parts end
};

// Each segment in as few parts of at most `max_part` tokens as possible. Borrows the segments.
Parts divide_segments(std::span<const Segment> segments, int64_t max_part);

// The memory of each segment out of the slots of its parts, [k, hidden] each.
std::vector<MemoryTensors> join_slots(const std::vector<at::Tensor>& slots,
                                      std::span<const int64_t> ends);

// The memory of each segment out of those of its parts, one behind the other. With the positions of
// its rows a part moves so that its end, from where it is read, stands at the end of its rows.
std::vector<MemoryTensors> join_cached(const std::vector<CachedTokens>& parts,
                                       std::span<const int64_t> ends,
                                       MemoryPositions positions,
                                       const DecoderConfig& config);

}  // namespace precis
