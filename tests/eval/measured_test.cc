// SPDX-License-Identifier: Apache-2.0
// Shares with intervals, and the arms they compare.
#include "eval/measured.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "eval/arms.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using Values = std::vector<double>;

const Values kNone{4, 3, 5}, kFull{2, 2.5, 3};

TEST(GainedShare, OfTheFullTextIsOneAndOfNoneIsZero) {
  const auto full = gained_share(kNone, kFull, kFull);
  ASSERT_TRUE(full.has_value());
  EXPECT_DOUBLE_EQ(full->value, 1);
  EXPECT_DOUBLE_EQ(full->interval.low, 1);
  EXPECT_DOUBLE_EQ(full->interval.high, 1);
  EXPECT_DOUBLE_EQ(gained_share(kNone, kNone, kFull)->value, 0);
}

TEST(GainedShare, IsARatioOfSums) {
  // Gains of 1, 0 and 2 of 2, 0.5 and 2.
  EXPECT_DOUBLE_EQ(gained_share(kNone, Values{3, 3, 3}, kFull)->value, 3 / 4.5);
}

TEST(GainedShare, MayBeNegativeOrOverOne) {
  EXPECT_DOUBLE_EQ(gained_share(kNone, Values{5, 4, 6}, kFull)->value, -3 / 4.5);
  EXPECT_DOUBLE_EQ(gained_share(kNone, Values{1, 1, 1}, kFull)->value, 2);
}

TEST(GainedShare, IsNoneWhereTheFullTextGainsNothing) {
  EXPECT_FALSE(gained_share(kNone, kFull, kNone).has_value());
  EXPECT_FALSE(gained_share(kFull, kNone, kNone).has_value());
}

TEST(GainedShare, LeavesOutSamplesWithNothingToGain) {
  const auto share = gained_share(Values{4, 3}, Values{3, 3}, Values{2, 3});
  EXPECT_DOUBLE_EQ(share->value, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.low, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.high, 0.5);
}

// Of the two items only the first has something to gain: samples of the second alone would be
// shares of a loss.
TEST(GainedShare, LeavesOutSamplesInWhichTheFullTextLoses) {
  const auto share = gained_share(Values{4, 3}, Values{3, 2.5}, Values{2, 3.5});
  EXPECT_DOUBLE_EQ(share->value, 1.5 / 1.5);
  EXPECT_DOUBLE_EQ(share->interval.low, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.high, 1);
}

TEST(RatioOfSums, IsNotTheMeanOfRatios) {
  const auto ratio = ratio_of_sums(Values{1, 0, 1}, Values{1, 1, 2});
  EXPECT_DOUBLE_EQ(ratio->value, 0.5);
  EXPECT_LT(ratio->interval.low, 0.5);
  EXPECT_GT(ratio->interval.high, 0.5);
}

TEST(RatioOfSums, IsNoneOverNothing) {
  EXPECT_FALSE(ratio_of_sums(Values{1, 1}, Values{0, 0}).has_value());
  EXPECT_FALSE(ratio_of_sums(Values{1, 1}, Values{1, -1}).has_value());
}

// The items differ by far more than the arms do: unpaired, the interval would hold 0.
TEST(MeanDifference, IsPaired) {
  const Measured difference = mean_difference(Values{1, 10, 100}, Values{0.5, 9, 98.5});
  EXPECT_DOUBLE_EQ(difference.value, 1);
  EXPECT_GE(difference.interval.low, 0.5);
  EXPECT_LE(difference.interval.high, 1.5);
}

TEST(Measured, TheMedianOfAnEvenNumberIsBetweenTheMiddleTwo) {
  EXPECT_DOUBLE_EQ(median_of(Values{7, 1}).value, 4);
  EXPECT_DOUBLE_EQ(median_of(Values{9, 2, 4, 1}).value, 3);
}

TEST(Measured, MeansAndMediansHaveIntervals) {
  const Values values{1, 2, 3, 4, 10};
  const Measured mean = mean_of(values), median = median_of(values);
  EXPECT_DOUBLE_EQ(mean.value, 4);
  EXPECT_DOUBLE_EQ(median.value, 3);
  for (const Measured& measured : {mean, median}) {
    EXPECT_LT(measured.interval.low, measured.value);
    EXPECT_GT(measured.interval.high, measured.value);
    EXPECT_GE(measured.interval.low, 1);
    EXPECT_LE(measured.interval.high, 10);
  }
}

// Two texts with three questions each, all of a text alike: no more is known than from one question
// about each.
TEST(Clusters, QuestionsOfATextDoNotCountAsIndependent) {
  const Values many{0, 0, 0, 1, 1, 1}, one{0, 1};
  const std::vector<int64_t> texts{0, 0, 0, 1, 1, 1};
  const Measured clustered = mean_of(many, texts), single = mean_of(one);
  EXPECT_DOUBLE_EQ(clustered.value, 0.5);
  EXPECT_DOUBLE_EQ(clustered.interval.low, single.interval.low);
  EXPECT_DOUBLE_EQ(clustered.interval.high, single.interval.high);
  // A quarter of the samples has one text only.
  EXPECT_DOUBLE_EQ(clustered.interval.low, 0);
  EXPECT_DOUBLE_EQ(clustered.interval.high, 1);
  EXPECT_GT(mean_of(many).interval.low, 0);
}

// A sample of texts with one and with three questions has as many questions as these together.
TEST(Clusters, OfDifferentSizesAreDrawnAsAWhole) {
  const Values values{1, 0, 0, 0};
  const std::vector<int64_t> texts{7, 3, 3, 3};
  std::set<double> means;
  measure(
      4,
      [&](std::span<const int64_t> items) {
        double sum = 0;
        for (const int64_t i : items) sum += values[i];
        return *means.insert(sum / static_cast<double>(items.size())).first;
      },
      texts);
  EXPECT_THAT(means, testing::ElementsAre(0, 0.25, 1));
}

TEST(Clusters, OfOneItemEachChangeNothing) {
  const Values above{1, 2, 0, 4, 3}, below{2, 2, 1, 5, 3};
  const std::vector<int64_t> texts{0, 1, 2, 3, 4};
  const auto same = [](const Measured& left, const Measured& right) {
    EXPECT_EQ(left.value, right.value);
    EXPECT_EQ(left.interval.low, right.interval.low);
    EXPECT_EQ(left.interval.high, right.interval.high);
  };
  same(mean_of(above, texts), mean_of(above));
  same(median_of(above, texts), median_of(above));
  same(mean_difference(above, below, texts), mean_difference(above, below));
  same(*ratio_of_sums(above, below, texts), *ratio_of_sums(above, below));
  same(*gained_share(below, above, Values(5, 0), texts), *gained_share(below, above, Values(5, 0)));
}

double metric(const std::vector<ArmResult>& arms, const std::string& arm, const char* name) {
  RatioResult result;
  result.arms = arms;
  const Measured* found = find_metric(result, arm, name);
  if (found == nullptr) throw std::out_of_range(arm + " has no " + name);
  return found->value;
}

ScoresByArm some_scores() {
  return {{Arm::kNone, {{4, 4}, {1, 1}}},
          {Arm::kVerbatim, {{3, 3.5}, {1, 1}}},
          {Arm::kMemory, {{2.5, 2.5}, {1, 1}}},
          {Arm::kOther, {{3.5, 4}, {1, 1}}},
          {Arm::kOtherFull, {{3, 3}, {1, 1}}},
          {Arm::kFull, {{2, 2}, {1, 1}}}};
}

// The full text gains 4 over none, and 2 over another text in full.
TEST(Arms, SharesAreOfWhatTheFullTextGains) {
  const std::vector<ArmResult> arms = results_of(some_scores());
  EXPECT_DOUBLE_EQ(metric(arms, "verbatim", "recovered_share"), 1.5 / 4);
  EXPECT_DOUBLE_EQ(metric(arms, "memory", "recovered_share"), 3.0 / 4);
  EXPECT_DOUBLE_EQ(metric(arms, "other", "recovered_share"), 0.5 / 4);
  EXPECT_DOUBLE_EQ(metric(arms, "other_full", "recovered_share"), 2.0 / 4);
  EXPECT_DOUBLE_EQ(metric(arms, "verbatim", "specific_share"), -0.5 / 2);
  EXPECT_DOUBLE_EQ(metric(arms, "memory", "specific_share"), 1.0 / 2);
  EXPECT_DOUBLE_EQ(metric(arms, "other", "specific_share"), -1.5 / 2);
  for (const auto& [arm, share] : {std::pair("none", "recovered_share"),
                                   std::pair("full", "recovered_share"),
                                   std::pair("full", "specific_share"),
                                   std::pair("other_full", "specific_share")})
    EXPECT_THROW(metric(arms, arm, share), std::out_of_range) << arm << " " << share;
}

TEST(Arms, TheMemoryIsComparedItemByItem) {
  const std::vector<ArmResult> arms = results_of(some_scores());
  EXPECT_DOUBLE_EQ(metric(arms, "memory", "nll_below_verbatim"), 0.75);
  EXPECT_DOUBLE_EQ(metric(arms, "memory", "nll_below_other"), 1.25);
  RatioResult result;
  result.arms = arms;
  const Interval interval = find_metric(result, "memory", "nll_below_verbatim")->interval;
  EXPECT_DOUBLE_EQ(interval.low, 0.5);
  EXPECT_DOUBLE_EQ(interval.high, 1);
}

TEST(Arms, NothingIsSpecificWhereAnotherTextServesAsWell) {
  ScoresByArm scores = some_scores();
  scores.at(Arm::kOtherFull).nll = {2, 2};
  const std::vector<ArmResult> arms = results_of(scores);
  EXPECT_THROW(metric(arms, "memory", "specific_share"), std::out_of_range);
  EXPECT_DOUBLE_EQ(metric(arms, "memory", "recovered_share"), 0.75);
}

TEST(Arms, OtherTextsFitBesideTheQuestion) {
  const std::vector<TokenId> two{1, 2}, five{1, 2, 3, 4, 5}, three{1, 2, 3};
  const std::vector<Text> texts{two, five, three};
  EXPECT_THAT(other_texts(texts, std::vector<int64_t>{4, 9, 9}), testing::ElementsAre(2, 2, 0));
  expect_error(ErrorKind::kInvalidArgument, "leaves room for 2 tokens", [&] {
    other_texts(texts, std::vector<int64_t>{2, 9, 9});
  });
}

TEST(Arms, OtherTextsGoRoundAndDiffer) {
  const std::vector<TokenId> a{1, 2}, b{1, 3};
  EXPECT_THAT(other_texts(std::vector<Text>{a, b}), testing::ElementsAre(1, 0));
  EXPECT_THAT(other_texts(std::vector<Text>{a, a, b}), testing::ElementsAre(2, 2, 0));
  expect_error(ErrorKind::kInvalidArgument, "all the same", [&] {
    other_texts(std::vector<Text>{a, a});
  });
}

}  // namespace
}  // namespace precis
