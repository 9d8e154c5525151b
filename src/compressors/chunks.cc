// SPDX-License-Identifier: Apache-2.0
#include "compressors/chunks.h"

#include <ATen/ATen.h>

#include "compressors/divide.h"
#include "memory/rotate_keys.h"
#include "precis/extend/decoder.h"

namespace precis {

Chunks divide_segments(std::span<const Segment> segments, int64_t max_chunk) {
  Chunks result;
  for (const Segment& segment : segments) {
    for (const TokenRange& range : divide(std::ssize(segment.tokens), max_chunk))
      result.chunks.push_back(Chunk(segment.tokens).subspan(range.first, range.size));
    result.ends.push_back(std::ssize(result.chunks));
  }
  return result;
}

std::vector<MemoryTensors> join_slots(const std::vector<at::Tensor>& slots,
                                      std::span<const int64_t> ends) {
  std::vector<MemoryTensors> memories;
  int64_t first = 0;
  for (const int64_t end : ends) {
    memories.push_back(SoftTokens{at::cat(at::TensorList(slots).slice(first, end - first), 0)});
    first = end;
  }
  return memories;
}

namespace {

// A chunk's memory, rebased to follow position `end`. It takes as many positions as its text or,
// with kRows, as it has memory tokens.
CachedTokens placed(const CachedTokens& chunk,
                    int64_t end,
                    MemoryPositions positions,
                    const DecoderConfig& config) {
  if (positions == MemoryPositions::kText) return rebase(chunk, config, end);
  const int64_t rows = chunk.keys.size(2), shift = end + rows - chunk.next_position;
  const at::Tensor from =
      at::arange(rows, at::TensorOptions(at::kLong).device(chunk.keys.device())) +
      chunk.first_position;
  return {rotate_keys(chunk.keys, from, from + shift, config), chunk.values, end, end + rows};
}

}  // namespace

std::vector<MemoryTensors> join_cached(const std::vector<CachedTokens>& chunks,
                                       std::span<const int64_t> ends,
                                       MemoryPositions positions,
                                       const DecoderConfig& config) {
  std::vector<MemoryTensors> memories;
  int64_t first = 0;
  for (const int64_t end : ends) {
    CachedTokens memory = positions == MemoryPositions::kText
                              ? chunks[first]
                              : placed(chunks[first], 0, positions, config);
    std::vector<at::Tensor> keys{memory.keys}, values{memory.values};
    for (int64_t i = first + 1; i < end; ++i) {
      const CachedTokens moved = placed(chunks[i], memory.next_position, positions, config);
      keys.push_back(moved.keys);
      values.push_back(moved.values);
      memory.next_position = moved.next_position;
    }
    if (end - first > 1) {
      memory.keys = at::cat(keys, 2);
      memory.values = at::cat(values, 2);
    }
    memories.emplace_back(std::move(memory));
    first = end;
  }
  return memories;
}

}  // namespace precis
