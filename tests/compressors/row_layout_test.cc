// SPDX-License-Identifier: Apache-2.0
// Positions of a memory's tokens. Keys are made at position 0 and rotated to the positions at which
// they were read; rotating the memory's keys from the expected positions to 0 must give them again.
#include "compressors/row_layout.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "gisting_fixture.h"
#include "memory/rotate_keys.h"

namespace precis {
namespace {

using Positions = std::vector<int64_t>;

class RowLayout : public testing::Test {
 protected:
  RowLayout() : decoder(load_model("llama", at::kFloat)), config(decoder->config()) {
    at::manual_seed(5);
  }

  // The same positions in every layer and head, [layers, kv_heads, n].
  at::Tensor everywhere(const Positions& positions) const {
    return at::tensor(positions, at::kLong)
        .expand({config.num_layers, config.num_kv_heads, std::ssize(positions)});
  }

  at::Tensor draw(int64_t count) const {
    return at::randn({config.num_layers, config.num_kv_heads, count, config.head_dim});
  }

  // Keys at position 0, and values, of all chunks in the order of creation.
  at::Tensor keys() const { return at::cat(keys_, 2); }
  at::Tensor values() const { return at::cat(values_, 2); }

  PlacedRows chunk(const at::Tensor& rows,
                   int64_t num_positions,
                   int64_t num_sinks = 1,
                   int64_t num_before = 0) {
    keys_.push_back(draw(rows.size(2)));
    values_.push_back(draw(rows.size(2)));
    const at::Tensor read = rotate_keys(keys_.back(), at::zeros_like(rows), rows, config);
    const at::Tensor lengths =
        at::full({config.num_layers, config.num_kv_heads}, rows.size(2), at::kLong);
    return {{read.flatten(0, 2), values_.back().flatten(0, 2), rows.flatten(), lengths},
            num_positions,
            num_sinks,
            num_before};
  }
  PlacedRows chunk(const Positions& rows,
                   int64_t num_positions,
                   int64_t num_sinks = 1,
                   int64_t num_before = 0) {
    return chunk(everywhere(rows), num_positions, num_sinks, num_before);
  }

  CachedTokens laid(const std::vector<PlacedRows>& chunks, MemoryPositions positions) const {
    return laid_out(chunks, positions, config);
  }

  // Expects the memory to be the tokens `rows` of all chunks together, at these positions.
  void expect_at(const CachedTokens& memory, const at::Tensor& positions, const Positions& rows) {
    ASSERT_EQ(memory.keys.size(2), positions.size(2));
    const at::Tensor index = at::tensor(rows, at::kLong);
    const at::Tensor back = rotate_keys(memory.keys, positions, at::zeros_like(positions), config);
    EXPECT_LT(largest_difference(back, keys().index_select(2, index)), 1e-4);
    EXPECT_TRUE(at::equal(memory.values, values().index_select(2, index)));
    EXPECT_EQ(memory.first_position, 0);
  }
  void expect_at(const CachedTokens& memory, const Positions& positions, const Positions& rows) {
    expect_at(memory, everywhere(positions), rows);
  }

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
  const DecoderConfig& config;

 private:
  std::vector<at::Tensor> keys_, values_;
};

// One chunk

TEST_F(RowLayout, TextPositionsAreKept) {
  const PlacedRows one = chunk({0, 40, 99}, 100);
  const CachedTokens memory = laid({one}, MemoryPositions::kText);
  EXPECT_TRUE(at::equal(memory.keys.flatten(0, 2), one.selected.keys));
  expect_at(memory, {0, 40, 99}, {0, 1, 2});
  EXPECT_EQ(memory.next_position, 100);
  EXPECT_EQ(memory.num_sinks, 1);
}

// Distances to the next token are those of the text: 100, 60 and 1.
TEST_F(RowLayout, WithRowPositionsABlockMovesAsAWhole) {
  const CachedTokens memory = laid({chunk({0, 40, 99}, 100)}, MemoryPositions::kRows);
  expect_at(memory, {3 - 100, 3 - 60, 3 - 1}, {0, 1, 2});
  EXPECT_EQ(memory.next_position, 3);
  EXPECT_EQ(memory.num_sinks, 1);
}

TEST_F(RowLayout, HeadsMayKeepDifferentTokens) {
  at::Tensor rows = everywhere({0, 40, 90}).clone();
  rows[1][0][1] = 70;
  rows[2][1][2] = 99;
  const CachedTokens memory = laid({chunk(rows, 100)}, MemoryPositions::kRows);
  expect_at(memory, rows - 97, {0, 1, 2});
}

// Two blocks of 512, two kept tokens each: the first ends at position 2, the second at 4.
TEST_F(RowLayout, BlocksTakeAsManyPositionsAsKeptTokens) {
  const CachedTokens memory = laid({chunk({0, 511, 512, 1023}, 1024)}, MemoryPositions::kRows);
  expect_at(memory, {2 - 512, 1, 4 - 512, 3}, {0, 1, 2, 3});
  EXPECT_EQ(memory.next_position, 4);
}

// Blocks are equal: 300 and 300, not 512 and 88.
TEST_F(RowLayout, BlocksAreOfTheSameSize) {
  const CachedTokens memory = laid({chunk({0, 299, 300, 599}, 600)}, MemoryPositions::kRows);
  expect_at(memory, {2 - 300, 1, 4 - 300, 3}, {0, 1, 2, 3});
}

TEST_F(RowLayout, ATextKeptWholeDoesNotMove) {
  const PlacedRows one = chunk({0, 1, 2, 3}, 4);
  const CachedTokens memory = laid({one}, MemoryPositions::kRows);
  EXPECT_TRUE(at::equal(memory.keys.flatten(0, 2), one.selected.keys));
  EXPECT_EQ(memory.next_position, 4);
}

// Several chunks

TEST_F(RowLayout, LaterChunksFollowWithoutTheirSinks) {
  const CachedTokens memory =
      laid({chunk({0, 9}, 10), chunk({0, 4, 9}, 10), chunk({0, 1}, 5)}, MemoryPositions::kText);
  expect_at(memory, {0, 9, 14, 19, 21}, {0, 1, 3, 4, 6});
  EXPECT_EQ(memory.next_position, 25);
  EXPECT_EQ(memory.num_sinks, 1);
}

TEST_F(RowLayout, LaterChunksTakeNoPositionForTheirBos) {
  const CachedTokens memory =
      laid({chunk({0, 5, 10}, 11, 1, 1), chunk({0, 5, 10}, 11, 1, 1)}, MemoryPositions::kText);
  expect_at(memory, {0, 5, 10, 15, 20}, {0, 1, 2, 4, 5});
  EXPECT_EQ(memory.next_position, 21);
}

// Each chunk ends after its kept tokens: at 3, and two positions later.
TEST_F(RowLayout, WithRowPositionsChunksTakeAsManyPositionsAsKeptTokens) {
  const CachedTokens memory =
      laid({chunk({0, 5, 10}, 11, 1, 1), chunk({0, 5, 10}, 11, 1, 1)}, MemoryPositions::kRows);
  expect_at(memory, {3 - 11, 3 - 6, 3 - 1, 5 - 6, 5 - 1}, {0, 1, 2, 4, 5});
  EXPECT_EQ(memory.next_position, 5);
  EXPECT_EQ(memory.next_position, memory.keys.size(2));
  EXPECT_EQ(memory.num_sinks, 1);
}

TEST_F(RowLayout, ChunksKeptWholeHaveConsecutivePositions) {
  for (const MemoryPositions positions : {MemoryPositions::kText, MemoryPositions::kRows}) {
    const size_t first = positions == MemoryPositions::kText ? 0 : 8;
    const CachedTokens memory =
        laid({chunk({0, 1, 2, 3}, 4, 1, 1), chunk({0, 1, 2, 3}, 4, 1, 1)}, positions);
    Positions rows;
    for (const int64_t row : {0, 1, 2, 3, 5, 6, 7})
      rows.push_back(static_cast<int64_t>(first) + row);
    expect_at(memory, {0, 1, 2, 3, 4, 5, 6}, rows);
    EXPECT_EQ(memory.next_position, 7);
  }
}

// Two sinks, as with a BOS of two ids before the text.
TEST_F(RowLayout, AllSinksOfLaterChunksAreDropped) {
  const CachedTokens memory =
      laid({chunk({0, 1, 7}, 8, 2, 2), chunk({0, 1, 4, 7}, 8, 2, 2)}, MemoryPositions::kText);
  expect_at(memory, {0, 1, 7, 10, 13}, {0, 1, 2, 5, 6});
  EXPECT_EQ(memory.next_position, 14);
  EXPECT_EQ(memory.num_sinks, 2);
}

// Ragged memories: head 0 of layer 0 keeps three tokens, the others two.

TEST_F(RowLayout, ChunksOfRaggedHeadsAreJoinedHeadByHead) {
  const int64_t heads = config.num_layers * config.num_kv_heads;
  const auto ragged = [&](const Positions& longer, const Positions& rest) {
    Positions rows = longer;
    for (int64_t head = 1; head < heads; ++head) rows.insert(rows.end(), rest.begin(), rest.end());
    at::Tensor lengths = at::full({config.num_layers, config.num_kv_heads}, 2, at::kLong);
    lengths[0][0] = 3;
    const at::Tensor all = at::tensor(rows, at::kLong);
    const at::Tensor keys = at::randn({all.size(0), config.head_dim});
    return PlacedRows{{keys, keys + 1, all, lengths}, 10, 1, 0};
  };
  const PlacedRows first = ragged({0, 4, 9}, {0, 7}), second = ragged({0, 2, 3}, {0, 5});
  const CachedTokens memory = laid({first, second}, MemoryPositions::kText);
  at::Tensor wanted = at::full({config.num_layers, config.num_kv_heads}, 3, at::kLong);
  wanted[0][0] = 5;
  EXPECT_TRUE(at::equal(memory.lengths, wanted));
  EXPECT_EQ(memory.next_position, 20);
  // Rows of head 0: those of the first chunk, then 2 and 3 of the second one at 12 and 13.
  const at::Tensor own = memory.values.narrow(0, 0, 5);
  EXPECT_TRUE(at::equal(own.narrow(0, 0, 3), first.selected.values.narrow(0, 0, 3)));
  EXPECT_TRUE(at::equal(own.narrow(0, 3, 2), second.selected.values.narrow(0, 1, 2)));
  EXPECT_TRUE(at::equal(memory.keys.narrow(0, 0, 3), first.selected.keys.narrow(0, 0, 3)));
  const at::Tensor moved = rotate_tokens(second.selected.keys.narrow(0, 1, 2),
                                         at::tensor({2, 3}, at::kLong),
                                         at::tensor({12, 13}, at::kLong),
                                         std::vector<int64_t>{2},
                                         config);
  EXPECT_LT(largest_difference(memory.keys.narrow(0, 3, 2), moved), 1e-6);
}

}  // namespace
}  // namespace precis
