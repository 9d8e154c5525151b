// SPDX-License-Identifier: Apache-2.0
#include "ops/sample.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "support/expect_error.h"
#include "support/sampling_cases.h"

namespace precis {
namespace {

TEST(Sample, EqualsItsReference) {
  at::manual_seed(4);
  std::mt19937_64 random(1);
  for (const int64_t count : {1, 2, 3, 10, 1000, 49152}) {
    for (const ops::SamplingOptions& options : sampling_cases()) {
      const at::Tensor logits = logits_with_ties(count);
      for (int draw = 0; draw < 20; ++draw) {
        const uint64_t bits = random();
        EXPECT_EQ(sample_row(logits, options, bits), ops::reference::sample(logits, options, bits))
            << count << " ids, temperature " << options.temperature << ", top_k " << options.top_k
            << ", top_p " << options.top_p << ", min_p " << options.min_p;
      }
    }
  }
}

// The smallest and the largest random number select the first and the last kept id.
TEST(Sample, EveryRandomNumberSelectsAnId) {
  const at::Tensor logits = at::tensor({-1e30f, 0.0f, 0.0f, -1e30f});
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(sample_row(logits, {}, 0), 1);
  EXPECT_EQ(sample_row(logits, {}, kMost / 2), 1);
  EXPECT_EQ(sample_row(logits, {}, kMost / 2 + 1), 2);
  EXPECT_EQ(sample_row(logits, {}, kMost), 2);
}

// Of equal logits those of the lowest ids are kept.
TEST(Sample, TiesAreKeptInOrder) {
  const at::Tensor logits = at::tensor({0.f, 2.f, 1.f, 1.f, 1.f, -3.f});
  std::mt19937_64 random(1);
  std::set<int64_t> by_count, by_share;
  for (int draw = 0; draw < 500; ++draw) {
    by_count.insert(*sample_row(logits, {1, 3, 1, 0}, random()));
    // top_p 0.6: the best has 0.45, the three next 0.16 each, of which one is needed.
    by_share.insert(*sample_row(logits, {1, 5, 0.6, 0}, random()));
  }
  EXPECT_EQ(by_count, (std::set<int64_t>{1, 2, 3}));
  EXPECT_EQ(by_share, (std::set<int64_t>{1, 2}));
  EXPECT_EQ(sample_row(at::tensor({1.f, 4.f, 4.f}), {0}, 0), 1);
}

TEST(Sample, ZerosOfBothSignsAreEqual) {
  for (const at::Tensor& logits : {at::tensor({-0.0f, 0.0f}), at::tensor({0.0f, -0.0f})}) {
    EXPECT_EQ(sample_row(logits, {0}, 0), 0);
    EXPECT_EQ(sample_row(logits, {1, 1, 1, 0}, ~uint64_t{0}), 0);
    EXPECT_EQ(ops::reference::sample(logits, {1, 1, 1, 0}, ~uint64_t{0}), 0);
  }
}

TEST(Sample, RowsAreSampledIndependently) {
  const at::Tensor rows =
      at::tensor({1.f, 2.f, 3.f, 1.f, INFINITY, 3.f, 5.f, 2.f, 3.f}).view({3, 3});
  const uint64_t random[] = {1, 2, 3};
  const auto indices = ops::sample(rows, {0}, random);
  EXPECT_EQ(indices, (std::vector<std::optional<int64_t>>{2, std::nullopt, 0}));
  EXPECT_TRUE(ops::sample(rows.narrow(0, 0, 0), {0}, {}).empty());
}

TEST(Sample, NonFiniteLogitsGiveNoId) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const double temperature : {0.0, 1.0}) {
      const at::Tensor logits = at::tensor({1.f, bad, 2.f});
      EXPECT_FALSE(sample_row(logits, {temperature}, 7).has_value());
      EXPECT_FALSE(ops::reference::sample(logits, {temperature}, 7).has_value());
    }
  }
}

TEST(Sample, RefusesOtherShapesAndTypes) {
  for (const at::Tensor& bad :
       {at::zeros({1, 0}), at::zeros({2, 3}), at::zeros({1, 3}, at::kDouble), at::zeros({1})}) {
    const uint64_t random[] = {0};
    expect_error(ErrorKind::kInvalidArgument, "sample", [&] { ops::sample(bad, {}, random); });
  }
}

}  // namespace
}  // namespace precis
