// SPDX-License-Identifier: Apache-2.0
#include "compressors/row_layout.h"

#include <ATen/ATen.h>

#include <vector>

#include "compressors/divide.h"
#include "memory/ragged.h"
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

// The chunk's rows without the first `count` of each head.
SelectedRows without_sinks(const SelectedRows& all, int64_t count) {
  const auto rest = [&](const at::Tensor& x) { return without_first(x, all.lengths, count); };
  return {rest(all.keys), rest(all.values), rest(all.rows), all.lengths - count};
}

at::Tensor rotated(const SelectedRows& rows, const at::Tensor& to, const DecoderConfig& config) {
  const at::Tensor sums = rows.lengths.sum(1);
  return rotate_tokens(
      rows.keys, rows.rows, to, {sums.const_data_ptr<int64_t>(), size_t(sums.numel())}, config);
}

}  // namespace

CachedTokens laid_out(std::span<const PlacedRows> chunks,
                      MemoryPositions positions,
                      const DecoderConfig& config) {
  std::vector<at::Tensor> keys, values, lengths;
  int64_t start = 0;
  for (const PlacedRows& chunk : chunks) {
    const SelectedRows own =
        start == 0 ? chunk.selected : without_sinks(chunk.selected, chunk.num_sinks);
    const int64_t count = own.keys.size(0) / own.lengths.numel();
    const int64_t before = start == 0 ? 0 : chunk.num_before;
    const bool closer = positions == MemoryPositions::kRows && count < chunk.num_positions;
    const int64_t taken = closer ? count : chunk.num_positions - before;
    const at::Tensor moved = closer ? closer_positions(chunk.num_positions, count)
                                    : at::arange(chunk.num_positions, at::kLong) - before;
    const at::Tensor to = (moved + start).to(own.rows.device()).take(own.rows);
    const bool moves = closer || start > 0;
    keys.push_back(moves ? rotated(own, to, config) : own.keys);
    values.push_back(own.values);
    lengths.push_back(own.lengths);
    start += taken;
  }
  at::Tensor total = lengths.front();
  for (size_t i = 1; i < lengths.size(); ++i) total = total + lengths[i];
  return simplest({join_heads(keys, lengths),
                   join_heads(values, lengths),
                   0,
                   start,
                   chunks.front().num_sinks,
                   total});
}

}  // namespace precis
