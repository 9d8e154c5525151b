// SPDX-License-Identifier: Apache-2.0
#include "ops/block_table.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <functional>

namespace precis::ops {
namespace {

using kernels::AttendedBlock;
using kernels::BlockReader;
using kernels::kBlockSize;

// A block that one query reads, before blocks are grouped.
struct Reading {
  AttendedBlock block;
  BlockReader reader;
};

int64_t chunks_of(const RaggedKv& memory) {
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < memory.starts.size(); ++i)
    longest = std::max(longest, memory.starts[i + 1] - memory.starts[i]);
  return (longest + kBlockSize - 1) / kBlockSize;
}

void add_ragged(const KvView& view, int32_t query, int32_t& split, std::vector<Reading>& readings) {
  for (const auto& memory : view.ragged) {
    for (int64_t chunk = 0; chunk < chunks_of(*memory); ++chunk) {
      readings.push_back({{memory->keys.const_data_ptr(),
                           memory->values.const_data_ptr(),
                           memory->starts.data(),
                           chunk,
                           0,
                           0},
                          {query, split++, 0, static_cast<int32_t>(kBlockSize)}});
    }
  }
}

// Tokens first .. last - 1 of the view's blocks.
void add_blocks(const KvView& view,
                int64_t first,
                int64_t last,
                int32_t query,
                int32_t& split,
                std::vector<Reading>& readings) {
  for (int64_t i = first / kBlockSize; i * kBlockSize < last; ++i) {
    const int64_t start = i * kBlockSize;
    readings.push_back({{view.blocks[i].const_data_ptr(), nullptr, nullptr, 0, 0, 0},
                        {query,
                         split++,
                         static_cast<int32_t>(std::max<int64_t>(first - start, 0)),
                         static_cast<int32_t>(std::min(last - start, kBlockSize))}});
  }
}

bool same_block(const AttendedBlock& a, const AttendedBlock& b) {
  return a.keys == b.keys && a.starts == b.starts && a.chunk == b.chunk;
}

// Moves reads of one block next to each other; keeps the order otherwise.
void group(std::vector<Reading>& readings) {
  std::stable_sort(readings.begin(), readings.end(), [](const Reading& a, const Reading& b) {
    return a.block.keys != b.block.keys ? std::less<>()(a.block.keys, b.block.keys)
                                        : a.block.chunk < b.block.chunk;
  });
}

}  // namespace

BlockTable block_table(std::span<const KvView> views,
                       std::span<const int64_t> cu_seqlens,
                       int64_t window) {
  BlockTable table;
  std::vector<Reading> readings;
  for (size_t i = 0; i < views.size(); ++i) {
    const int64_t queries = cu_seqlens[i + 1] - cu_seqlens[i];
    for (int64_t j = 0; j < queries; ++j) {
      const auto query = static_cast<int32_t>(cu_seqlens[i] + j);
      const int64_t last = views[i].length - queries + j + 1;
      const int64_t first = window > 0 ? std::max<int64_t>(last - window, 0) : 0;
      int32_t split = 0;
      add_ragged(views[i], query, split, readings);
      add_blocks(views[i], first, last, query, split, readings);
      table.num_splits.push_back(split);
      table.max_splits = std::max<int64_t>(table.max_splits, split);
    }
  }
  if (table.num_splits.size() > 1) group(readings);
  for (const Reading& reading : readings) {
    if (table.blocks.empty() || !same_block(table.blocks.back(), reading.block)) {
      table.blocks.push_back(reading.block);
      table.blocks.back().first_reader = std::ssize(table.readers);
    }
    ++table.blocks.back().num_readers;
    table.readers.push_back(reading.reader);
  }
  return table;
}

}  // namespace precis::ops
