// SPDX-License-Identifier: Apache-2.0
#include "plot/plot_axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace precis {
namespace {

using testing::ElementsAre;

std::vector<std::string> labels(const PlotAxis& axis) {
  std::vector<std::string> found;
  for (const PlotTick& tick : axis.ticks) found.push_back(tick.label);
  return found;
}

std::vector<std::string> linear_labels(const std::vector<double>& values) {
  return labels(linear_axis(values, 6, AxisEnds::kAtValues));
}

TEST(PlotAxisTest, TicksAreRoundNumbers) {
  EXPECT_THAT(linear_labels({0, 1000}), ElementsAre("0", "200", "400", "600", "800", "1000"));
  EXPECT_THAT(linear_labels({0.31, 0.83}), ElementsAre("0.4", "0.5", "0.6", "0.7", "0.8"));
  EXPECT_THAT(linear_labels({1, 3}), ElementsAre("1.0", "1.5", "2.0", "2.5", "3.0"));
}

TEST(PlotAxisTest, ZeroHasNoSign) {
  EXPECT_THAT(linear_labels({-0.5, 0.1}),
              ElementsAre("-0.5", "-0.4", "-0.3", "-0.2", "-0.1", "0.0", "0.1"));
}

TEST(PlotAxisTest, LargeAndSmallTicksAreShort) {
  EXPECT_THAT(linear_labels({0, 1e9}), ElementsAre("0", "2e8", "4e8", "6e8", "8e8", "1e9"));
  EXPECT_THAT(linear_labels({0, 4e-6}), ElementsAre("0", "1e-6", "2e-6", "3e-6", "4e-6"));
  EXPECT_THAT(linear_labels({1e9, 1e9 + 20}),
              ElementsAre("1e9", "1.000000005e9", "1.00000001e9", "1.000000015e9", "1.00000002e9"));
}

TEST(PlotAxisTest, AnAxisEndsAtItsValuesOrAtTheTicksAround) {
  const PlotAxis tight = linear_axis({0.3, 9.6}, 6, AxisEnds::kAtValues);
  EXPECT_EQ(tight.fraction(0.3), 0);
  EXPECT_EQ(tight.fraction(9.6), 1);
  const PlotAxis wide = linear_axis({0.3, 9.6}, 6, AxisEnds::kAtTicks);
  EXPECT_EQ(wide.fraction(0), 0);
  EXPECT_EQ(wide.fraction(10), 1);
  EXPECT_EQ(wide.fraction(5), 0.5);
}

TEST(PlotAxisTest, EqualValuesAreInTheMiddle) {
  for (const double value : {0.0, 3.0, -1e16, std::numeric_limits<double>::denorm_min()}) {
    const PlotAxis axis = linear_axis({value, value}, 6, AxisEnds::kAtTicks);
    EXPECT_NEAR(axis.fraction(value), 0.5, 0.1) << value;
    EXPECT_GE(axis.ticks.size(), 3u) << value;
  }
  EXPECT_EQ(log_axis({8, 8}, 8).fraction(8), 0.5);
}

TEST(PlotAxisTest, AxesWithoutValuesStillHaveTicks) {
  EXPECT_THAT(linear_labels({}), ElementsAre("0.0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(labels(log_axis({}, 8)), ElementsAre("1", "2", "4", "8", "16"));
}

TEST(PlotAxisTest, ALogarithmicAxisNamesAFewValues) {
  EXPECT_THAT(labels(log_axis({32, 4, 15.25, 4}, 8)), ElementsAre("4", "15.25", "32"));
}

TEST(PlotAxisTest, ALogarithmicAxisNamesPowersOfTwoWhereValuesAreClose) {
  EXPECT_THAT(labels(log_axis({3.9, 4, 4.1, 33}, 8)), ElementsAre("4", "8", "16", "32"));
}

TEST(PlotAxisTest, ALogarithmicAxisSkipsPowers) {
  std::vector<double> values;
  for (int exponent = 0; exponent <= 20; ++exponent) values.push_back(1 << exponent);
  EXPECT_THAT(labels(log_axis(values, 8)),
              ElementsAre("1", "8", "64", "512", "4096", "32768", "262144"));
}

TEST(PlotAxisTest, ALogarithmicAxisWithoutPowersOfTwoNamesRoundNumbers) {
  std::vector<double> values;
  for (int i = 0; i <= 20; ++i) values.push_back(5 + 0.1 * i);
  EXPECT_THAT(labels(log_axis(values, 8)), ElementsAre("5.0", "5.5", "6.0", "6.5", "7.0"));
}

TEST(PlotAxisTest, ALogarithmicAxisNamesNoTwoTicksAlike) {
  EXPECT_THAT(labels(log_axis({1000, 1000.01}, 3)),
              ElementsAre("1000.000", "1000.005", "1000.010"));
}

}  // namespace
}  // namespace precis
