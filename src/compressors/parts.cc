// SPDX-License-Identifier: Apache-2.0
#include "compressors/parts.h"

#include <ATen/ATen.h>

#include "compressors/divide.h"
#include "memory/turn_keys.h"
#include "precis/extend/decoder.h"

namespace precis {

Parts divide_segments(std::span<const Segment> segments, int64_t max_part) {
  Parts result;
  for (const Segment& segment : segments) {
    for (const TokenRange& range : divide(std::ssize(segment.tokens), max_part))
      result.parts.push_back(Part(segment.tokens).subspan(range.first, range.size));
    result.ends.push_back(std::ssize(result.parts));
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

// `part` behind a memory that ends at `end`: where its text would stand, or, closer, its rows.
CachedTokens placed(const CachedTokens& part,
                    int64_t end,
                    MemoryPositions positions,
                    const DecoderConfig& config) {
  if (positions == MemoryPositions::kText) return rebase(part, config, end);
  const int64_t rows = part.keys.size(2), shift = end + rows - part.next_position;
  const at::Tensor from =
      at::arange(rows, at::TensorOptions(at::kLong).device(part.keys.device())) +
      part.first_position;
  return {turned_keys(part.keys, from, from + shift, config), part.values, end, end + rows};
}

}  // namespace

std::vector<MemoryTensors> join_cached(const std::vector<CachedTokens>& parts,
                                       std::span<const int64_t> ends,
                                       MemoryPositions positions,
                                       const DecoderConfig& config) {
  std::vector<MemoryTensors> memories;
  int64_t first = 0;
  for (const int64_t end : ends) {
    CachedTokens memory = positions == MemoryPositions::kText
                              ? parts[first]
                              : placed(parts[first], 0, positions, config);
    std::vector<at::Tensor> keys{memory.keys}, values{memory.values};
    for (int64_t i = first + 1; i < end; ++i) {
      const CachedTokens moved = placed(parts[i], memory.next_position, positions, config);
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
