// SPDX-License-Identifier: Apache-2.0
// Refining as a whole: what comes back, when it ends.
#include "refine/refine.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "refine_fixture.h"
#include "support/expect_error.h"

namespace precis {
namespace {

const std::vector<TokenId> kOther{77, 130, 5, 201, 42, 88, 260, 19};  // no sample of any run

TEST_F(RefineTest, KeysAndValuesPredictMoreLikeTheFullText) {
  const CachedTokens given = cached(4, 3.0);
  const RefineResult result = refine(given, text, {}, *decoder, few_steps());
  EXPECT_LT(result.loss, result.given_loss);
  EXPECT_EQ(result.steps, 30);
  EXPECT_GT(result.num_train, 0);
  EXPECT_GT(result.num_held_out, 0);
  const auto& refined = std::get<CachedTokens>(result.memory);
  EXPECT_EQ(refined.keys.sizes(), given.keys.sizes());
  EXPECT_EQ(refined.keys.scalar_type(), given.keys.scalar_type());
  EXPECT_FALSE(refined.keys.requires_grad());
  EXPECT_EQ(refined.first_position, given.first_position);
  EXPECT_EQ(refined.next_position, given.next_position);
  EXPECT_FALSE(at::equal(refined.keys, given.keys));
  EXPECT_FALSE(at::equal(refined.values, given.values));
  const at::Tensor teacher = behind_text(kOther);
  EXPECT_LT(mean_kl(teacher, log_probabilities(kOther, &refined, 40)),
            mean_kl(teacher, log_probabilities(kOther, &given, 40)));
}

TEST_F(RefineTest, EmbeddingsAreRefined) {
  const SoftTokens given = soft();
  const RefineResult result = refine(given, text, chat_prompts(), *decoder, few_steps());
  EXPECT_LT(result.loss, result.given_loss);
  const at::Tensor& refined = std::get<SoftTokens>(result.memory).embeddings;
  EXPECT_EQ(refined.sizes(), given.embeddings.sizes());
  EXPECT_FALSE(at::equal(refined, given.embeddings));
}

TEST_F(RefineTest, KeysAndValuesInAChatAreRefined) {
  const RefineResult result = refine(cached(4, 3.0), text, chat_prompts(), *decoder, few_steps());
  EXPECT_LT(result.loss, result.given_loss);
}

TEST_F(RefineTest, TheLossesAreThoseOfTheGivenAndTheReturnedMemory) {
  const RefineResult first = refine(cached(4, 3.0), text, {}, *decoder, few_steps());
  // The same samples, since the seed is the same: what was the result is now what is given.
  const RefineResult second = refine(first.memory, text, {}, *decoder, few_steps());
  EXPECT_NEAR(second.given_loss, first.loss, 1e-9);
  EXPECT_LE(second.loss, second.given_loss);
}

// Whether a memory is the given one itself.
void expect_unchanged(const RefineResult& result, const CachedTokens& given) {
  const auto& returned = std::get<CachedTokens>(result.memory);
  EXPECT_TRUE(returned.keys.is_same(given.keys));
  EXPECT_TRUE(returned.values.is_same(given.values));
  EXPECT_EQ(result.loss, result.given_loss);
}

TEST_F(RefineTest, AMemoryThatIsTheWholeTextIsReturnedAsItIs) {
  const CachedTokens whole = cached(1, 1.0);
  // Without a chat, whose beginning the memory has not read.
  const RefineResult result = refine(whole, text, {}, *decoder, few_steps());
  expect_unchanged(result, whole);
  EXPECT_NEAR(result.given_loss, 0, 1e-9);
  EXPECT_EQ(result.steps, 0);
}

TEST_F(RefineTest, WithoutAGainTheGivenMemoryIsReturnedAsItIs) {
  RefineOptions options = few_steps();
  options.rates = {0, 0, 0};
  options.patience = 2;
  const CachedTokens given = cached(4, 3.0);
  const RefineResult result = refine(given, text, {}, *decoder, options);
  expect_unchanged(result, given);
  EXPECT_EQ(result.steps, 2 * options.check_every);  // patience is over then
}

TEST_F(RefineTest, ARateThatIsFarTooHighReturnsNoWorseMemory) {
  RefineOptions options = few_steps();
  options.rates = {1e3, 1e3, 1e3};
  const CachedTokens given = cached(4, 1.0);
  const RefineResult result = refine(given, text, {}, *decoder, options);
  EXPECT_LE(result.loss, result.given_loss);
  const auto& returned = std::get<CachedTokens>(result.memory);
  EXPECT_TRUE(returned.keys.isfinite().all().item<bool>());
}

TEST_F(RefineTest, EqualSeedsGiveEqualMemories) {
  const CachedTokens given = cached(4, 3.0);
  const auto keys = [&](uint64_t seed) {
    RefineOptions options = few_steps();
    options.seed = seed;
    options.max_steps = 10;
    const RefineResult result = refine(given, text, chat_prompts(), *decoder, options);
    return std::get<CachedTokens>(result.memory).keys;
  };
  const at::Tensor first = keys(1);
  EXPECT_TRUE(at::equal(first, keys(1)));
  EXPECT_FALSE(at::equal(first, keys(2)));
}

// The memories of inference: made and used where gradients are off for good.
TEST_F(RefineTest, WorksInInferenceMode) {
  const c10::InferenceMode inference;
  const SoftTokens given{embeddings_of({5, 19, 40}) * 3.0};
  const RefineResult result = refine(given, text, chat_prompts(), *decoder, few_steps());
  EXPECT_LT(result.loss, result.given_loss);
  EXPECT_TRUE(c10::InferenceMode::is_enabled());
}

TEST_F(RefineTest, ReportsProgressInTheModesOfItsCaller) {
  const c10::InferenceMode inference;
  RefineOptions options = few_steps();
  std::vector<double> reports;
  options.progress = [&](double done) {
    reports.push_back(done);
    EXPECT_TRUE(c10::InferenceMode::is_enabled());
    EXPECT_FALSE(c10::GradMode::is_enabled());
    return true;
  };
  refine(SoftTokens{embeddings_of({5, 19, 40})}, text, {}, *decoder, options);
  EXPECT_TRUE(std::ranges::is_sorted(reports));
  EXPECT_EQ(reports.back(), 1.0);
  EXPECT_EQ(std::ranges::count(reports, 1.0), 1);
}

TEST_F(RefineTest, IsCancelledAtAnyReport) {
  const CachedTokens given = cached(4, 3.0);
  const auto run = [&](int64_t last) {
    RefineOptions options = few_steps();
    int64_t count = 0;
    options.progress = [&](double) { return ++count != last; };
    refine(given, text, chat_prompts(), *decoder, options);
    return count;
  };
  const int64_t all = run(-1);
  ASSERT_GT(all, 30);
  for (const int64_t last : {int64_t{1}, int64_t{4}, all - 10, all})
    expect_error(ErrorKind::kCancelled, "refine: cancelled", [&] { run(last); });
}

// A clock that a second passes on whenever it is read.
class TickingClock {
 public:
  std::function<double()> clock() {
    return [this] { return seconds_++; };
  }
  double seconds() const { return seconds_; }

 private:
  double seconds_ = 0;
};

TEST_F(RefineTest, EndsWithTheTime) {
  TickingClock ticking;
  RefineOptions options = few_steps();
  options.max_steps = 0;
  options.patience = 1000000;
  options.seconds = 200;
  options.clock = ticking.clock();
  const RefineResult result = refine(cached(4, 3.0), text, {}, *decoder, options);
  EXPECT_GT(result.steps, 10);
  EXPECT_LT(result.loss, result.given_loss);
  EXPECT_GT(ticking.seconds(), 150);
  EXPECT_LT(ticking.seconds(), 210);  // reading the clock after the last step, too
}

TEST_F(RefineTest, WithoutTimeTheGivenMemoryIsReturned) {
  TickingClock ticking;
  RefineOptions options = few_steps();
  options.seconds = 0.5;
  options.clock = ticking.clock();
  const CachedTokens given = cached(4, 3.0);
  const RefineResult result = refine(given, text, chat_prompts(), *decoder, options);
  expect_unchanged(result, given);
  EXPECT_EQ(result.steps, 0);
}

TEST_F(RefineTest, ATextThatDoesNotFitTheWindowIsRefused) {
  const std::vector<TokenId> longer(505, 7);  // of 512
  expect_error(ErrorKind::kInvalidArgument, "do not fit the model's window of 512", [&] {
    refine(cached(4, 1.0), longer, {}, *decoder, few_steps());
  });
}

TEST_F(RefineTest, ATextOfOneTokenHasNoSamplesToHoldOut) {
  RefineOptions options = few_steps();
  options.num_continuations = 0;
  const CachedTokens given = cached(40, 3.0);
  const std::vector<TokenId> one{text[0]};
  expect_unchanged(refine(given, one, {}, *decoder, options), given);
}

}  // namespace
}  // namespace precis
