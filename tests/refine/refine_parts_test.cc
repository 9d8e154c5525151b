// SPDX-License-Identifier: Apache-2.0
// The parts of refining against plain passes of the model and calculations by hand.
#include <algorithm>
#include <random>
#include <set>

#include "ops/sample.h"
#include "refine/collect_samples.h"
#include "refine/draw_drafts.h"
#include "refine/mean_divergence.h"
#include "refine/read_behind.h"
#include "refine/refined_tensors.h"
#include "refine_fixture.h"

namespace precis {
namespace {

TEST(RefinedTensors, StartAtTheGivenMemoryToTheLastBit) {
  const at::Tensor keys = at::randn({2, 3, 4, 8}).to(at::kBFloat16), values = keys * 2;
  const CachedTokens given{keys, values, 3, 9, 1};
  const auto memory = std::get<CachedTokens>(RefinedTensors(given, {}).memory());
  EXPECT_TRUE(at::equal(memory.keys, keys));
  EXPECT_TRUE(at::equal(memory.values, values));
  EXPECT_EQ(memory.first_position, 3);
  EXPECT_EQ(memory.next_position, 9);
  EXPECT_EQ(memory.num_sinks, 1);
  EXPECT_TRUE(memory.keys.requires_grad());
}

TEST(RefinedTensors, ARowMovesByItsSize) {
  // Medians of absolute values: 3 (one channel is far larger) and 0; the second row counts as a
  // twentieth of the mean of both.
  const at::Tensor rows =
      at::tensor({1.0, -2.0, 3.0, -4.0, 100.0, 0.0, 0.0, 0.0, 0.0, 0.0}, at::kDouble).view({2, 5});
  const RefinedTensors tensors(SoftTokens{rows}, {.embeddings = 0.25});
  ASSERT_EQ(tensors.parts().size(), 1u);
  const RefinedTensors::Part& part = tensors.parts()[0];
  EXPECT_EQ(part.rate, 0.25);
  const double size = 3 * 1.4826;
  EXPECT_NEAR(part.size[0].item<double>(), size, 1e-12);
  EXPECT_NEAR(part.size[1].item<double>(), 0.05 * size / 2, 1e-12);
  RefinedTensors moved(SoftTokens{rows}, {});
  moved.set_changes({at::ones({2, 5}, at::kDouble)});
  const at::Tensor memory = std::get<SoftTokens>(moved.memory()).embeddings;
  EXPECT_NEAR(memory[0][1].item<double>(), -2 + size, 1e-12);
  EXPECT_TRUE(at::equal(moved.changes()[0], at::ones({2, 5}, at::kDouble)));
}

TEST_F(RefineTest, ReadingBehindTheTextIsReadingAfterIt) {
  const c10::NoGradGuard no_grad;
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  const std::vector<TokenId> first{50, 60, 70}, second{80, 90, 100, 110};
  const std::vector<IdsBehind> sequences{{first, 2}, {second, 4}};
  const at::Tensor hidden = read_behind(contexts.plain.with_full_text(), sequences, *decoder);
  const at::Tensor read = decoder->logits(hidden).log_softmax(1);
  const at::Tensor expected = at::cat({behind_text(first).slice(0, 1), behind_text(second)}, 0);
  EXPECT_TRUE(at::allclose(read, expected, 1e-9, 1e-9));
}

// A memory of the text's own embeddings is the text: behind the chat's beginning as well.
TEST_F(RefineTest, ReadingBehindTheEmbeddingsOfTheTextIsReadingAfterIt) {
  const c10::NoGradGuard no_grad;
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  const std::vector<TokenId> ids{50, 60, 70};
  const IdsBehind sequence{ids, 3};
  const MemoryTensors memory = SoftTokens{embeddings_of(text)};
  for (const bool in_chat : {false, true}) {
    const ReadContext& context = contexts.of(in_chat);
    const at::Tensor full = read_behind(context.with_full_text(), {&sequence, 1}, *decoder);
    const at::Tensor own = read_behind(context.with_memory(memory), {&sequence, 1}, *decoder);
    EXPECT_TRUE(at::allclose(own, full, 1e-9, 1e-9)) << in_chat;
  }
}

std::vector<RefineSample> two_samples() {
  std::vector<RefineSample> samples(2);
  samples[0].ids = {50, 60, 70, 80, 90, 51};
  samples[1].ids = {21, 22, 100, 110, 120, 130};
  samples[1].num_given = 2;
  samples[1].in_chat = true;
  samples[1].weight = 0.5;
  return samples;
}

std::vector<const RefineSample*> pointers_to(const std::vector<RefineSample>& samples) {
  std::vector<const RefineSample*> pointers;
  for (const RefineSample& sample : samples) pointers.push_back(&sample);
  return pointers;
}

TEST_F(RefineTest, TheDivergenceIsThatOfPlainPasses) {
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  std::vector<RefineSample> samples = two_samples();
  samples.resize(1);
  add_teacher(samples, contexts, *decoder, 1000);
  const CachedTokens given = cached(4, 3.0);
  const std::vector<TokenId> read{50, 60, 70, 80, 90};
  const double expected = mean_kl(behind_text(read), log_probabilities(read, &given, 40));
  EXPECT_GT(expected, 1e-6);
  const RefinedTensors refined(given, {});
  const double loss =
      mean_divergence(pointers_to(samples), refined, contexts, *decoder, 1000, /*backward=*/false);
  EXPECT_NEAR(loss, expected, 1e-9);
}

TEST_F(RefineTest, SamplesAreWeightedByToken) {
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  std::vector<RefineSample> samples = two_samples();
  add_teacher(samples, contexts, *decoder, 1000);
  const RefinedTensors refined(cached(4, 3.0), {});
  const auto loss = [&](std::span<const RefineSample* const> some, int64_t tokens_per_pass) {
    return mean_divergence(some, refined, contexts, *decoder, tokens_per_pass, false);
  };
  const std::vector<const RefineSample*> both = pointers_to(samples);
  const std::span<const RefineSample* const> all(both);
  // 5 ids of weight 1 and 4 of weight 0.5.
  const double expected = (5 * loss(all.first(1), 1000) + 2 * loss(all.last(1), 1000)) / 7;
  EXPECT_NEAR(loss(all, 1000), expected, 1e-9);
  EXPECT_NEAR(loss(all, 1), expected, 1e-9);  // in passes of one sample each
}

TEST_F(RefineTest, HasTheGradientOfItsLoss) {
  const RefinePrompts prompts = chat_prompts();
  const ReadContexts contexts(prompts, text, *decoder);
  std::vector<RefineSample> samples = two_samples();
  add_teacher(samples, contexts, *decoder, 1000);
  for (const MemoryTensors& given : {MemoryTensors(cached(4, 2.0)), MemoryTensors(soft())}) {
    RefinedTensors refined(given, {});
    const auto loss = [&](bool backward) {
      return mean_divergence(pointers_to(samples), refined, contexts, *decoder, 1000, backward);
    };
    loss(/*backward=*/true);
    for (size_t i = 0; i < refined.parts().size(); ++i) {
      const at::Tensor gradient = refined.parts()[i].change.grad();
      ASSERT_TRUE(gradient.defined()) << i;
      const double slope = gradient.norm().item<double>();
      EXPECT_GT(slope, 1e-6) << i;
      const auto loss_at = [&](double step) {
        std::vector<at::Tensor> changes = refined.changes();
        changes[i] = gradient / slope * step;
        refined.set_changes(changes);
        const double value = loss(/*backward=*/false);
        changes[i] = at::zeros_like(gradient);
        refined.set_changes(changes);
        return value;
      };
      constexpr double kStep = 1e-5;
      EXPECT_NEAR((loss_at(kStep) - loss_at(-kStep)) / (2 * kStep), slope, 1e-4 * slope) << i;
    }
  }
}

// Every id of a draft is what the sampler draws from a plain pass over all that precedes it.
TEST_F(RefineTest, DraftsAreDrawnFromWhatTheModelPredicts) {
  const c10::NoGradGuard no_grad;
  const RefinePrompts prompts;
  const ReadContexts contexts(prompts, text, *decoder);
  const SharedPrefix& full = contexts.plain.full_text();
  std::vector<Draft> drafts{{&full, {}}, {&full, {33, 34, 35}}, {&full, {}}};
  draw_drafts(drafts, {prompts, 6, /*seed=*/9}, *decoder, [] { return true; });
  for (size_t i = 0; i < drafts.size(); ++i) {
    std::mt19937_64 random(9 + i);
    std::vector<TokenId> ids = text;
    ids.insert(ids.end(), drafts[i].prompt.begin(), drafts[i].prompt.end());
    ASSERT_EQ(drafts[i].ids.size(), 6u);
    for (const TokenId id : drafts[i].ids) {
      const at::Tensor logits = log_probabilities(ids)[-1].to(at::kFloat);
      EXPECT_EQ(ops::reference::sample(logits, {}, random()), id) << i;
      ids.push_back(id);
    }
  }
  EXPECT_NE(drafts[0].ids, drafts[2].ids);
}

TEST_F(RefineTest, DraftsKeepToTheIdsThatMayBeDrawnAndStop) {
  const c10::NoGradGuard no_grad;
  RefinePrompts prompts;
  prompts.vocab_size = 9;
  prompts.never_drawn = {0, 1, 2, 3, 4, 5, 6, 8, 319};
  const ReadContexts contexts(prompts, text, *decoder);
  const auto draw = [&](const std::function<bool()>& goes_on) {
    std::vector<Draft> drafts{{&contexts.plain.full_text(), {}}};
    draw_drafts(drafts, {prompts, 4, 1}, *decoder, goes_on);
    return drafts[0];
  };
  const auto always = [] { return true; };
  EXPECT_EQ(draw(always).ids, std::vector<TokenId>(4, 7));
  EXPECT_FALSE(draw(always).stopped);
  EXPECT_EQ(draw([] { return false; }).ids, std::vector<TokenId>(1, 7));
  prompts.stop_ids = {7};
  EXPECT_EQ(draw(always).ids, std::vector<TokenId>(1, 7));
  EXPECT_TRUE(draw(always).stopped);
}

RefineSamples collect(const Decoder& decoder,
                      std::span<const TokenId> text,
                      const RefinePrompts& prompts,
                      const RefineOptions& options) {
  const c10::NoGradGuard no_grad;
  const RefineTimer timer(options);
  const ReadContexts contexts(prompts, text, decoder);
  return collect_samples(text, prompts, contexts, decoder, options, timer);
}

// One of four of each kind is held out, a question with its answer.
TEST_F(RefineTest, SomeSamplesOfEachKindAreHeldOut) {
  RefineOptions options = few_steps();
  options.num_continuations = 4;
  const RefineSamples samples = collect(*decoder, text, chat_prompts(), options);
  const auto beginnings = [&](const std::vector<RefineSample>& some) {
    std::multiset<TokenId> firsts;
    for (const RefineSample& sample : some)
      if (sample.in_chat) firsts.insert(sample.ids.front());
    return firsts;
  };
  // Requests begin with 21 and 24, askings with 26 and 28, questions that were asked with 31.
  EXPECT_EQ(beginnings(samples.train), (std::multiset<TokenId>{21, 26, 31}));
  EXPECT_EQ(beginnings(samples.held_out), (std::multiset<TokenId>{24, 28, 31}));
  const auto plain = [](const RefineSample& sample) {
    return !sample.in_chat && sample.weight == 1;
  };
  EXPECT_EQ(std::ranges::count_if(samples.train, plain), 3);
  EXPECT_EQ(std::ranges::count_if(samples.held_out, plain), 1);
}

TEST_F(RefineTest, PassagesCoverTheText) {
  RefineOptions options = few_steps();
  options.sample_tokens = 10;
  const RefineSamples samples = collect(*decoder, text, {}, options);
  std::vector<TokenId> joined;
  for (const RefineSample& sample : samples.train)
    if (sample.weight == options.passage_weight)
      joined.insert(joined.end(), sample.ids.begin(), sample.ids.end());
  EXPECT_EQ(joined, text);
  for (const RefineSample& sample : samples.held_out) EXPECT_EQ(sample.weight, 1);
}

TEST_F(RefineTest, PassagesAreHeldOutWhereNothingIsSampled) {
  RefineOptions options = few_steps();
  options.sample_tokens = 10;
  options.num_continuations = 0;
  const RefineSamples samples = collect(*decoder, text, {}, options);
  ASSERT_EQ(samples.held_out.size(), 1u);
  EXPECT_EQ(samples.train.size(), 3u);
  EXPECT_EQ(samples.held_out[0].ids, std::vector<TokenId>(text.begin() + 10, text.begin() + 20));
}

TEST_F(RefineTest, TwiceAsManyContinuationsStandInForQuestions) {
  RefineOptions options = few_steps();
  options.num_continuations = 4;
  options.num_passages = 0;
  const RefineSamples samples = collect(*decoder, text, {}, options);
  EXPECT_EQ(samples.train.size() + samples.held_out.size(), 8u);
}

TEST_F(RefineTest, SamplesThatDoNotFitTheWindowAreLeftOut) {
  RefineOptions options = few_steps();
  const std::vector<TokenId> longer(498, 7);  // with 12 sampled ones 510 of 512
  const RefineSamples samples = collect(*decoder, longer, chat_prompts(), options);
  for (const std::vector<RefineSample>* some : {&samples.train, &samples.held_out})
    for (const RefineSample& sample : *some) EXPECT_FALSE(sample.in_chat);
  EXPECT_FALSE(samples.train.empty());
}

}  // namespace
}  // namespace precis
