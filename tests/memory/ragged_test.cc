// SPDX-License-Identifier: Apache-2.0
#include "memory/ragged.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace precis {
namespace {

at::Tensor lengths_of(at::IntArrayRef lengths) {
  return at::tensor(lengths, at::kLong).view({2, -1});
}

// Rows that are numbered: row i is (i, i).
at::Tensor numbered(int64_t first, int64_t count) {
  return at::arange(first, first + count, at::kFloat).unsqueeze(1).expand({count, 2}).contiguous();
}

std::vector<int64_t> numbers_of(const at::Tensor& rows) {
  const at::Tensor first = rows.select(1, 0).to(at::kLong).contiguous();
  return {first.const_data_ptr<int64_t>(), first.const_data_ptr<int64_t>() + first.numel()};
}

using Numbers = std::vector<int64_t>;

TEST(Ragged, NumberOfTokensIsTheMeanRoundedUp) {
  EXPECT_EQ((CachedTokens{numbered(0, 8), numbered(0, 8), 0, 9, 0, lengths_of({1, 2, 1, 4})}
                 .num_tokens()),
            2);
  EXPECT_EQ((CachedTokens{numbered(0, 9), numbered(0, 9), 0, 9, 0, lengths_of({1, 2, 2, 4})}
                 .num_tokens()),
            3);
  const at::Tensor uniform = at::zeros({2, 2, 5, 4});
  EXPECT_EQ((CachedTokens{uniform, uniform, 0, 9}.num_tokens()), 5);
}

TEST(Ragged, StartsAreSumsOfLengths) {
  EXPECT_EQ(head_starts(lengths_of({3, 0, 2, 4})), (Numbers{0, 3, 3, 5, 9}));
}

TEST(Ragged, JoinsHeadByHead) {
  const at::Tensor joined = join_heads({numbered(0, 4), numbered(10, 5)},
                                       {lengths_of({1, 0, 2, 1}), lengths_of({2, 1, 0, 2})});
  EXPECT_EQ(numbers_of(joined), (Numbers{0, 10, 11, 12, 1, 2, 3, 13, 14}));
}

TEST(Ragged, DropsTheFirstTokensOfEachHead) {
  const CachedTokens memory{numbered(0, 8), numbered(20, 8), 0, 9, 2, lengths_of({1, 2, 1, 4})};
  const CachedTokens rest = without_first(memory, 1);
  EXPECT_EQ(numbers_of(rest.keys), (Numbers{2, 5, 6, 7}));
  EXPECT_EQ(numbers_of(rest.values), (Numbers{22, 25, 26, 27}));
  EXPECT_TRUE(at::equal(rest.lengths, lengths_of({0, 1, 0, 3})));
  EXPECT_EQ(rest.num_sinks, 1);
}

TEST(Ragged, EqualLengthsBecomeFourDimensions) {
  const CachedTokens memory{numbered(0, 8), numbered(0, 8), 0, 9, 1, lengths_of({2, 2, 2, 2})};
  const CachedTokens uniform = simplest(memory);
  EXPECT_FALSE(uniform.is_ragged());
  EXPECT_EQ(uniform.keys.sizes(), (std::vector<int64_t>{2, 2, 2, 2}));
  EXPECT_EQ(numbers_of(uniform.keys.flatten(0, 2)), (Numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_TRUE(
      simplest({numbered(0, 4), numbered(0, 4), 0, 9, 0, lengths_of({1, 1, 0, 2})}).is_ragged());
}

TEST(Ragged, TheCacheGetsRowsAndStarts) {
  const RaggedKv kv = to_ragged_kv(
      {numbered(0, 4), numbered(9, 4), 0, 9, 0, lengths_of({1, 1, 0, 2})}, at::kBFloat16);
  EXPECT_EQ(kv.keys.scalar_type(), at::kBFloat16);
  EXPECT_EQ(kv.starts, (Numbers{0, 1, 2, 2, 4}));
}

}  // namespace
}  // namespace precis
