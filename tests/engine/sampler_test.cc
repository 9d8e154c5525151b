// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/stop_matcher.h"
#include "support/expect_error.h"

namespace precis {
namespace {

std::map<TokenId, double> frequencies(GenerationOptions options,
                                      const std::vector<float>& logits,
                                      int64_t num_ids = 100) {
  constexpr int kDraws = 20000;
  Sampler sampler(options, num_ids, {});
  std::map<TokenId, double> counts;
  for (int i = 0; i < kDraws; ++i) counts[sampler.sample(at::tensor(logits))] += 1.0 / kDraws;
  return counts;
}

GenerationOptions at_temperature(double temperature) {
  GenerationOptions options;
  options.temperature = temperature;
  return options;
}

TEST(Sampler, IsGreedyAtTemperatureZero) {
  const auto drawn = frequencies({}, {1, 3, 2});
  EXPECT_EQ(drawn.size(), 1u);
  EXPECT_TRUE(drawn.contains(1));
}

TEST(Sampler, NeverDrawsSuppressedIds) {
  GenerationOptions options;
  options.suppressed_ids = {1, 77};
  EXPECT_EQ(frequencies(options, {1, 3, 2}).begin()->first, 2);
  options.temperature = 5;
  EXPECT_FALSE(frequencies(options, {1, 3, 2}).contains(1));
  options.suppressed_ids = {0, 1, 2};
  expect_error(ErrorKind::kInvalidArgument, "nothing to draw", [&] {
    frequencies(options, {1, 3, 2});
  });
}

// NaNs cannot be ordered: sorting them would be undefined behaviour.
TEST(Sampler, RefusesLogitsThatAreNotFinite) {
  for (const float bad : {std::nanf(""), INFINITY}) {
    for (const double temperature : {0.0, 0.8}) {
      expect_error(ErrorKind::kBadWeights, "not finite", [&] {
        frequencies(at_temperature(temperature), {1, bad, 2});
      });
    }
  }
}

// Suppression must not hide it.
TEST(Sampler, RefusesSuppressedLogitsThatAreNotFinite) {
  GenerationOptions options;
  options.suppressed_ids = {1};
  expect_error(ErrorKind::kBadWeights, "not finite", [&] {
    frequencies(options, {1, std::nanf(""), 2});
  });
}

TEST(Sampler, PenaltyKeepsLogitsFinite) {
  GenerationOptions options;
  options.repetition_penalty = 1000;
  const std::vector<TokenId> prompt{0, 1};
  Sampler sampler(options, 100, prompt);
  EXPECT_EQ(sampler.sample(at::tensor({-3e38f, -3e38f, -2e38f})), 2);
}

TEST(Sampler, BoundsTheTemperature) {
  for (const double bad : {-0.1, 1e7, std::nan(""), double{INFINITY}})
    expect_error(
        ErrorKind::kInvalidArgument, "temperature", [&] { check_sampling(at_temperature(bad)); });
  check_sampling(at_temperature(1e6));
}

TEST(Sampler, BoundsTheRepetitionPenalty) {
  GenerationOptions options;
  for (const double bad : {0.0, 1e-300, 1e300}) {
    options.repetition_penalty = bad;
    expect_error(
        ErrorKind::kInvalidArgument, "repetition_penalty", [&] { check_sampling(options); });
  }
}

TEST(Sampler, DrawsInProportionToTheProbabilities) {
  const auto drawn = frequencies(at_temperature(2), {0, 2, 4});
  const double total = 1 + std::exp(1) + std::exp(2);
  EXPECT_NEAR(drawn.at(0), 1 / total, 0.015);
  EXPECT_NEAR(drawn.at(1), std::exp(1) / total, 0.015);
  EXPECT_NEAR(drawn.at(2), std::exp(2) / total, 0.015);
}

TEST(Sampler, TopKKeepsTheKBest) {
  GenerationOptions options = at_temperature(10);
  options.top_k = 2;
  const auto drawn = frequencies(options, {1, 5, 3, 4});
  EXPECT_EQ(drawn.size(), 2u);
  EXPECT_TRUE(drawn.contains(1) && drawn.contains(3));
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  GenerationOptions options = at_temperature(1);
  options.top_p = 0.6;  // of 0.5, 0.3, 0.2
  const auto drawn = frequencies(options, {std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  EXPECT_EQ(drawn.size(), 2u);
  EXPECT_NEAR(drawn.at(0), 0.625, 0.015);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheBest) {
  GenerationOptions options = at_temperature(1);
  options.min_p = 0.5;
  const auto drawn = frequencies(options, {std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  EXPECT_EQ(drawn.size(), 2u);
}

TEST(Sampler, RepetitionPenaltyWeighsSeenIdsDown) {
  GenerationOptions options;
  options.repetition_penalty = 2;
  const std::vector<TokenId> prompt{0};
  Sampler sampler(options, 100, prompt);
  EXPECT_EQ(sampler.sample(at::tensor({4.f, 3.f, 2.5f})), 1);     // 4 / 2 < 3
  EXPECT_EQ(sampler.sample(at::tensor({4.f, 3.f, 2.5f})), 2);     // now 3 / 2 < 2.5
  EXPECT_EQ(sampler.sample(at::tensor({-1.f, -3.f, -1.5f})), 0);  // -1 * 2 > -1.5 * 2 > -3 * 2
}

TEST(Sampler, NeverDrawsIdsWithoutAToken) {
  EXPECT_EQ(frequencies({}, {1, 2, 9}, 2).begin()->first, 1);
}

// Samplers of a batch that differ in every setting, in mixed order.
std::vector<Sampler> different_samplers(int64_t vocab_size) {
  const std::vector<TokenId> prompt{2, 3};
  std::vector<Sampler> samplers;
  const auto add = [&](const GenerationOptions& options, int64_t ids) {
    samplers.emplace_back(options, ids, prompt);
  };
  GenerationOptions warm = at_temperature(1.2);
  add(warm, vocab_size);
  add({}, vocab_size);
  warm.top_k = 5;
  warm.top_p = 0.8;
  add(warm, vocab_size);
  warm.seed = 9;
  warm.repetition_penalty = 1.5;
  add(warm, vocab_size);
  add({}, vocab_size / 2);
  GenerationOptions suppressed;
  suppressed.suppressed_ids = {0, 7, 11};
  add(suppressed, vocab_size);
  add(at_temperature(1.2), vocab_size);
  return samplers;
}

TEST(Sampler, DrawsInABatchAsAlone) {
  constexpr int64_t kVocab = 40;
  std::vector<Sampler> together = different_samplers(kVocab), alone = different_samplers(kVocab);
  std::vector<Sampler*> samplers;
  for (Sampler& sampler : together) samplers.push_back(&sampler);
  at::manual_seed(5);
  for (int step = 0; step < 20; ++step) {
    const at::Tensor logits = at::randn({std::ssize(samplers), kVocab}) * 3;
    const std::vector<Draw> draws = sample(samplers, logits);
    ASSERT_EQ(draws.size(), samplers.size());
    for (size_t i = 0; i < draws.size(); ++i) {
      EXPECT_EQ(draws[i].error, nullptr);
      EXPECT_EQ(draws[i].id, alone[i].sample(logits[static_cast<int64_t>(i)])) << i;
    }
  }
}

TEST(Sampler, ErrorsInABatchStayWithTheirRows) {
  GenerationOptions all_suppressed;
  all_suppressed.suppressed_ids = {0, 1, 2};
  Sampler greedy({}, 3, {}), damaged({}, 3, {}), none(all_suppressed, 3, {});
  Sampler* const samplers[] = {&damaged, &none, &greedy};
  const at::Tensor logits = at::tensor({1.f, 3.f, 2.f}).repeat({3, 1});
  logits[0][2].fill_(std::nanf(""));
  const std::vector<Draw> draws = sample(samplers, logits);
  expect_error(
      ErrorKind::kBadWeights, "not finite", [&] { std::rethrow_exception(draws[0].error); });
  expect_error(ErrorKind::kInvalidArgument, "nothing to draw", [&] {
    std::rethrow_exception(draws[1].error);
  });
  EXPECT_EQ(draws[2].error, nullptr);
  EXPECT_EQ(draws[2].id, 1);
}

TEST(StopMatcher, HoldsBackWhatMayBecomeAStopString) {
  StopMatcher matcher({"END", "\n\n"});
  EXPECT_EQ(matcher.push("one E"), "one ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("T\n"), "ENT");
  EXPECT_EQ(matcher.push("\nrest"), "");
  EXPECT_TRUE(matcher.stopped());
  EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, GivesBackWhatItHeldIfNothingComes) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("the EN"), "the ");
  EXPECT_EQ(matcher.finish(), "EN");
  EXPECT_FALSE(matcher.stopped());
}

}  // namespace
}  // namespace precis
