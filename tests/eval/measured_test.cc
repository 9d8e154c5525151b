// SPDX-License-Identifier: Apache-2.0
#include "eval/measured.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace precis {
namespace {

using Values = std::vector<double>;

const Values kNone{4, 3, 5}, kFull{2, 2.5, 3};

TEST(RecoveredShare, OfTheFullTextIsOneAndOfNoneIsZero) {
  const auto full = recovered_share(kNone, kFull, kFull);
  ASSERT_TRUE(full.has_value());
  EXPECT_DOUBLE_EQ(full->value, 1);
  EXPECT_DOUBLE_EQ(full->interval.low, 1);
  EXPECT_DOUBLE_EQ(full->interval.high, 1);
  EXPECT_DOUBLE_EQ(recovered_share(kNone, kNone, kFull)->value, 0);
}

TEST(RecoveredShare, IsARatioOfSums) {
  // Gains of 1, 0 and 2 of 2, 0.5 and 2.
  EXPECT_DOUBLE_EQ(recovered_share(kNone, Values{3, 3, 3}, kFull)->value, 3 / 4.5);
}

TEST(RecoveredShare, MayBeNegativeOrOverOne) {
  EXPECT_DOUBLE_EQ(recovered_share(kNone, Values{5, 4, 6}, kFull)->value, -3 / 4.5);
  EXPECT_DOUBLE_EQ(recovered_share(kNone, Values{1, 1, 1}, kFull)->value, 2);
}

TEST(RecoveredShare, IsNoneWhereTheFullTextGainsNothing) {
  EXPECT_FALSE(recovered_share(kNone, kFull, kNone).has_value());
  EXPECT_FALSE(recovered_share(kFull, kNone, kNone).has_value());
}

TEST(RecoveredShare, LeavesOutSamplesWithNothingToGain) {
  const auto share = recovered_share(Values{4, 3}, Values{3, 3}, Values{2, 3});
  EXPECT_DOUBLE_EQ(share->value, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.low, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.high, 0.5);
}

// Of the two items only the first has something to gain: samples of the second alone would be
// shares of a loss.
TEST(RecoveredShare, LeavesOutSamplesInWhichTheFullTextLoses) {
  const auto share = recovered_share(Values{4, 3}, Values{3, 2.5}, Values{2, 3.5});
  EXPECT_DOUBLE_EQ(share->value, 1.5 / 1.5);
  EXPECT_DOUBLE_EQ(share->interval.low, 0.5);
  EXPECT_DOUBLE_EQ(share->interval.high, 1);
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

}  // namespace
}  // namespace precis
