// SPDX-License-Identifier: Apache-2.0
#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/expect_error.h"

namespace precis {
namespace {

// Uniform in [0, 1), the same with every standard library.
std::vector<double> draw_values(uint64_t seed, size_t size) {
  std::mt19937_64 random(seed);
  std::vector<double> values(size);
  for (double& value : values) value = static_cast<double>(random() >> 11) * 0x1.0p-53;
  return values;
}

double sum_of(const std::vector<double>& values, std::span<const int64_t> drawn) {
  double sum = 0;
  for (const int64_t item : drawn) sum += values.at(static_cast<size_t>(item));
  return sum;
}

Interval mean_interval(const std::vector<double>& values, uint64_t seed = 1) {
  return bootstrap_interval(
      std::ssize(values),
      [&](std::span<const int64_t> drawn) {
        return sum_of(values, drawn) / static_cast<double>(drawn.size());
      },
      seed);
}

Interval ratio_interval(const std::vector<double>& above, const std::vector<double>& below) {
  return bootstrap_interval(std::ssize(above), [&](std::span<const int64_t> drawn) {
    return sum_of(above, drawn) / sum_of(below, drawn);
  });
}

TEST(Bootstrap, NineteenOfTwentyIntervalsHoldTheMean) {
  constexpr int kTrials = 200;
  int held = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Interval found = mean_interval(draw_values(100 + trial, 40));
    if (found.low <= 0.5 && 0.5 <= found.high) ++held;
  }
  // Three standard deviations of the count of 200, and a little for 40 items being few.
  EXPECT_GE(held, 178);
  EXPECT_LE(held, 199);
}

TEST(Bootstrap, AMeansIntervalIsAsWideAsTheNormalOne) {
  const std::vector<double> values = draw_values(7, 400);
  double mean = 0;
  for (const double value : values) mean += value / 400;
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean) / 400;
  const double half = 1.96 * std::sqrt(variance / 400);
  const Interval found = mean_interval(values);
  EXPECT_NEAR(found.low, mean - half, 0.1 * half);
  EXPECT_NEAR(found.high, mean + half, 0.1 * half);
}

TEST(Bootstrap, TheSameSeedGivesTheSameIntervalEverywhere) {
  const std::vector<double> values = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const Interval found = mean_interval(values);
  // What a separate mt19937_64 seeded with 1 gives.
  EXPECT_NEAR(found.low, 2.6, 1e-12);
  EXPECT_NEAR(found.high, 6.2, 1e-12);
  const std::vector<double> many = draw_values(3, 50);
  EXPECT_EQ(mean_interval(many, 5).low, mean_interval(many, 5).low);
  EXPECT_NE(mean_interval(many, 5).low, mean_interval(many, 6).low);
}

TEST(Bootstrap, EveryItemIsDrawnAboutAsOften) {
  std::vector<int64_t> times(10);
  bootstrap_interval(10, [&](std::span<const int64_t> drawn) {
    EXPECT_EQ(drawn.size(), 10u);
    for (const int64_t item : drawn) ++times.at(static_cast<size_t>(item));
    return 0.0;
  });
  // 20,000 draws: 2,000 each, with a standard deviation of 42.
  EXPECT_GT(*std::min_element(times.begin(), times.end()), 1800);
  EXPECT_LT(*std::max_element(times.begin(), times.end()), 2200);
}

TEST(Bootstrap, ARatioOfSumsKeepsWhatItemsShare) {
  const std::vector<double> below = draw_values(11, 30);
  std::vector<double> above = below;
  for (double& value : above) value *= 3;
  const Interval same = ratio_interval(above, below);
  EXPECT_NEAR(same.low, 3, 1e-12);
  EXPECT_NEAR(same.high, 3, 1e-12);
  above = draw_values(12, 30);
  const Interval other = ratio_interval(above, below);
  EXPECT_LT(other.low, other.high);
}

TEST(Bootstrap, ConstantDataGivesNoWidth) {
  const Interval found = mean_interval(std::vector<double>(12, 0.25));
  EXPECT_EQ(found.low, 0.25);
  EXPECT_EQ(found.high, 0.25);
}

TEST(Bootstrap, SamplesWithoutAFiniteStatisticAreLeftOut) {
  // A quarter of the samples draws the second item only, which is 0 / 0.
  const Interval found = ratio_interval({3, 0}, {1, 0});
  EXPECT_EQ(found.low, 3);
  EXPECT_EQ(found.high, 3);
}

TEST(Bootstrap, NothingToDrawFromIsAnError) {
  const auto statistic = [](std::span<const int64_t>) {
    return std::numeric_limits<double>::infinity();
  };
  const auto invalid = ErrorKind::kInvalidArgument;
  expect_error(invalid, "no items", [&] { bootstrap_interval(0, statistic); });
  expect_error(invalid, "no items", [&] { bootstrap_interval(-1, statistic); });
  expect_error(invalid, "finite in no sample", [&] { bootstrap_interval(3, statistic); });
}

}  // namespace
}  // namespace precis
