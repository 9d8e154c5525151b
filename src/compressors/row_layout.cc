// SPDX-License-Identifier: Apache-2.0
#include "compressors/row_layout.h"

#include <ATen/ATen.h>

#include <vector>

#include "compressors/divide.h"
#include "memory/rotate_keys.h"

namespace precis {
namespace {

constexpr int64_t kBlock = 512;

// New position of each position of a chunk, [num_positions] int64, if the chunk begins at 0 and is
// to take `count` positions.
at::Tensor closer_positions(int64_t num_positions, int64_t count) {
  at::Tensor moved = at::arange(num_positions, at::kLong);
  for (const TokenRange& range : divide(num_positions, kBlock)) {
    const int64_t end = range.first + range.size;
    moved.narrow(0, range.first, range.size).add_(end * count / num_positions - end);
  }
  return moved;
}

SelectedRows without_first(const SelectedRows& all, int64_t count) {
  const int64_t rest = all.keys.size(2) - count;
  return {all.keys.narrow(2, count, rest),
          all.values.narrow(2, count, rest),
          all.rows.narrow(2, count, rest)};
}

}  // namespace

CachedTokens laid_out(std::span<const PlacedRows> chunks,
                      MemoryPositions positions,
                      const DecoderConfig& config) {
  std::vector<at::Tensor> keys, values;
  int64_t start = 0;
  for (const PlacedRows& chunk : chunks) {
    const SelectedRows own =
        start == 0 ? chunk.selected : without_first(chunk.selected, chunk.num_sinks);
    const int64_t count = own.keys.size(2), before = start == 0 ? 0 : chunk.num_before;
    const bool closer = positions == MemoryPositions::kRows && count < chunk.num_positions;
    const int64_t taken = closer ? count : chunk.num_positions - before;
    const at::Tensor moved = closer ? closer_positions(chunk.num_positions, count)
                                    : at::arange(chunk.num_positions, at::kLong) - before;
    const at::Tensor to = (moved + start).to(own.rows.device()).take(own.rows);
    const bool moves = closer || start > 0;
    keys.push_back(moves ? rotate_keys(own.keys, own.rows, to, config) : own.keys);
    values.push_back(own.values);
    start += taken;
  }
  return {keys.size() == 1 ? keys[0] : at::cat(keys, 2),
          values.size() == 1 ? values[0] : at::cat(values, 2),
          0,
          start,
          chunks.front().num_sinks};
}

}  // namespace precis
