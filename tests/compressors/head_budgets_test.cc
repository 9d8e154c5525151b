// SPDX-License-Identifier: Apache-2.0
#include "compressors/head_budgets.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace precis {
namespace {

using Lengths = std::vector<int64_t>;

Lengths budgets(const at::Tensor& scores, int64_t mean) {
  const at::Tensor lengths = head_budgets(scores, mean).flatten();
  return {lengths.const_data_ptr<int64_t>(), lengths.const_data_ptr<int64_t>() + lengths.numel()};
}

// Four heads of 20 tokens, all scores of a head equal.
at::Tensor flat(const std::vector<float>& of_heads) {
  return at::tensor(of_heads).view({2, 2, 1}).expand({2, 2, 20}).contiguous();
}

// With a mean of 5 each head keeps 1 (0.2) to 20 (4.0).
TEST(HeadBudgets, HeadsWithLargerScoresGetWhatTheOthersDoNotNeed) {
  EXPECT_EQ(budgets(flat({0.1f, 0.9f, 0.2f, 0.3f}), 5), (Lengths{1, 17, 1, 1}));
}

TEST(HeadBudgets, AHeadGetsAtMostFourTimesTheMean) {
  EXPECT_EQ(budgets(flat({0.1f, 0.9f, 0.2f, 0.3f}), 2), (Lengths{1, 5, 1, 1}));
  at::Tensor many = at::zeros({4, 4, 100});
  many[1][2].fill_(1);
  const Lengths lengths = budgets(many, 10);
  EXPECT_EQ(lengths[6], 40);
  EXPECT_EQ(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 160);
}

TEST(HeadBudgets, SingleTokensCompeteOverAllHeads) {
  at::Tensor scores = flat({0, 0, 0, 0});
  scores[0][0].narrow(0, 7, 6).fill_(0.5);  // 1 is guaranteed: 5 compete
  scores[1][1].narrow(0, 3, 10).fill_(0.9);
  // Two rows are left, which go to the first of all tokens with a score of 0.
  EXPECT_EQ(budgets(scores, 5), (Lengths{8, 1, 1, 10}));
}

TEST(HeadBudgets, EqualScoresAreDividedInOrderOfHeads) {
  EXPECT_EQ(budgets(flat({1, 1, 1, 1}), 20), (Lengths{20, 20, 20, 20}));
  EXPECT_EQ(budgets(flat({1, 1, 1, 1}), 1), (Lengths{1, 1, 1, 1}));
}

TEST(HeadBudgets, TheTotalIsThatOfEqualHeads) {
  at::manual_seed(3);
  for (const int64_t mean : {1, 2, 3, 7, 19, 20}) {
    const at::Tensor lengths = head_budgets(at::rand({3, 5, 20}).pow(4), mean);
    EXPECT_EQ(lengths.sum().item<int64_t>(), 15 * mean);
    EXPECT_LE(lengths.max().item<int64_t>(), 20);
    EXPECT_GE(lengths.min().item<int64_t>(), 1);
  }
}

TEST(HeadBudgets, ModelsWithWindowsKeepEquallyMany) {
  DecoderConfig config;
  config.num_layers = 2;
  config.num_kv_heads = 2;
  config.windowed = {true, false};
  const std::vector<TokenId> ids(21, 1);
  const at::Tensor scores = at::rand({2, 2, 21});
  const at::Tensor lengths = head_lengths(scores, {ids, 1, 6, {}}, config);
  EXPECT_TRUE(at::equal(lengths, at::full({2, 2}, 6, at::kLong)));
  config.windowed = {false, false};
  EXPECT_EQ(head_lengths(scores, {ids, 1, 6, {}}, config).sum().item<int64_t>(), 24);
}

}  // namespace
}  // namespace precis
