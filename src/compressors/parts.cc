// SPDX-License-Identifier: Apache-2.0
#include "compressors/parts.h"

#include <ATen/ATen.h>

#include "compressors/divide.h"
#include "precis/decoder.h"

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

std::vector<MemoryTensors> join_cached(const std::vector<CachedTokens>& parts,
                                       std::span<const int64_t> ends,
                                       const DecoderConfig& config) {
  std::vector<MemoryTensors> memories;
  int64_t first = 0;
  for (const int64_t end : ends) {
    CachedTokens memory = parts[first];
    std::vector<at::Tensor> keys{memory.keys}, values{memory.values};
    for (int64_t i = first + 1; i < end; ++i) {
      const CachedTokens moved = rebase(parts[i], config, memory.next_position);
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
