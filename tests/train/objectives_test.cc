// SPDX-License-Identifier: Apache-2.0
// Every method can memorise eight short texts through its own parameters alone.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/optim/adamw.h>

#include <filesystem>

#include "precis/extend/load_decoder.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

constexpr int64_t kTexts = 8;
constexpr int64_t kSlots = 6;
constexpr int64_t kTargets = 4;
constexpr double kLearningRate = 0.015;  // at first; falls to zero
constexpr double kNearZero = 0.1;        // nats, of 12 to 13 before

// At least as many memory tokens as text: whether it can be learnt is the question, not how
// densely.

std::unique_ptr<Compressor> make_selfcp(const Decoder& decoder) {
  SelfCpConfig config;
  config.ratio = 1;
  return create_selfcp(config, decoder);
}

std::unique_ptr<Compressor> make_icae(const Decoder& decoder) {
  IcaeConfig config;
  config.slots = kSlots;
  config.rank = 16;
  config.connector = true;
  return create_icae(config, decoder);
}

std::unique_ptr<Compressor> make_ic_former(const Decoder& decoder) {
  IcFormerConfig config;
  config.slots = kSlots;
  config.num_heads = 4;
  config.ffn_size = 48;
  config.connector = true;
  return create_ic_former(config, decoder);
}

std::unique_ptr<Compressor> make_gisting(const Decoder& decoder) {
  GistingConfig config;
  config.num_gists = kSlots;
  config.rank = 16;
  return create_gisting(config, decoder);
}

struct Objective {
  const char* name;
  std::unique_ptr<Compressor> (*make)(const Decoder&);
  MemoryUse use;
  int64_t max_steps;
};

const Objective kObjectives[] = {
    {"selfcp_continue", make_selfcp, MemoryUse::kContinue, 1500},
    {"icae_autoencode", make_icae, MemoryUse::kAutoencode, 800},
    {"icae_continue", make_icae, MemoryUse::kContinue, 800},
    {"icae_instruct", make_icae, MemoryUse::kInstruct, 800},
    {"ic_former_autoencode", make_ic_former, MemoryUse::kAutoencode, 800},
    {"ic_former_instruct", make_ic_former, MemoryUse::kInstruct, 800},
    {"gisting_continue", make_gisting, MemoryUse::kContinue, 800},
    {"gisting_instruct", make_gisting, MemoryUse::kInstruct, 800},
};

std::vector<TokenId> drawn_ids(int64_t count, at::Generator& generator) {
  const at::Tensor ids = at::randint(4, 300, {count}, generator, at::kLong);
  return {ids.const_data_ptr<int64_t>(), ids.const_data_ptr<int64_t>() + count};
}

// Texts of random ids: nothing but the memory tells what is to be said. All prompts are the same.
std::vector<TrainingExample> draw_examples(MemoryUse use) {
  auto generator = at::detail::createCPUGenerator(7);
  std::vector<TrainingExample> examples;
  for (int64_t i = 0; i < kTexts; ++i) {
    const bool autoencodes = use == MemoryUse::kAutoencode;
    TrainingExample example{
        {drawn_ids(autoencodes ? kTargets : kSlots, generator), nullptr}, {}, use};
    example.targets = autoencodes ? example.segment.tokens : drawn_ids(kTargets, generator);
    if (use == MemoryUse::kInstruct) example.prompt = {11, 12, 13};
    examples.push_back(std::move(example));
  }
  return examples;
}

class Objectives : public testing::TestWithParam<Objective> {
 protected:
  Objectives() {
    at::set_num_threads(1);  // products this small only wait for each other
    const c10::NoGradGuard no_grad;
    decoder = load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                           at::kFloat);
    compressor = GetParam().make(*decoder);
  }

  double loss_of(std::span<const TrainingExample> examples, bool backward) const {
    return cross_entropy(*decoder, predict(*decoder, *compressor, examples, {}), backward);
  }

  std::unique_ptr<Decoder> decoder;
  std::unique_ptr<Compressor> compressor;
};

TEST_P(Objectives, LearnEightTextsByHeart) {
  const std::vector<TrainingExample> examples = draw_examples(GetParam().use);
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& named : compressor->parameters())
    parameters.push_back(named.tensor.requires_grad_(true));
  torch::optim::AdamW optimizer(parameters, torch::optim::AdamWOptions(0).weight_decay(0));
  const double first = loss_of(examples, /*backward=*/false);
  double loss = first;
  int64_t step = 0;
  for (; step < GetParam().max_steps && loss > kNearZero; ++step) {
    const double left = 1 - static_cast<double>(step) / static_cast<double>(GetParam().max_steps);
    for (auto& group : optimizer.param_groups()) group.options().set_lr(kLearningRate * left);
    optimizer.zero_grad();
    loss = loss_of(examples, /*backward=*/true);
    optimizer.step();
  }
  EXPECT_GT(first, 10.0);
  EXPECT_LE(loss, kNearZero) << "from " << first << " after " << step << " steps";
}

// What is to be said of one text does not depend on the others of its batch.
TEST_P(Objectives, ABatchIsTheMeanOfItsExamples) {
  const c10::NoGradGuard no_grad;
  const std::vector<TrainingExample> examples = draw_examples(GetParam().use);
  double sum = 0;
  for (const TrainingExample& example : examples) sum += loss_of({&example, 1}, false);
  EXPECT_NEAR(loss_of(examples, false), sum / kTexts, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(All, Objectives, testing::ValuesIn(kObjectives), [](const auto& test) {
  return test.param.name;
});

class Predict : public testing::Test {
 protected:
  Predict()
      : decoder(load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                             at::kFloat)) {}

  c10::NoGradGuard no_grad;
  std::unique_ptr<Decoder> decoder;
};

// A cached memory leaves no hidden state from which the next token could be predicted.
TEST_F(Predict, ReadsTheFirstTargetAfterACachedMemory) {
  const auto gisting = make_small_gisting(*decoder);
  TrainingExample example{{{5, 6, 7}, nullptr}, {8, 9, 10}};
  PredictedBatch batch = predict(*decoder, *gisting, {&example, 1}, {});
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({9, 10}, at::kLong)));
  example.prompt = {4};
  batch = predict(*decoder, *gisting, {&example, 1}, {});
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({8, 9, 10}, at::kLong)));
}

// Each behind the beginning of its own chat, which is read before.
TEST_F(Predict, CachedMemoriesStandInTheirChats) {
  const auto gisting = make_small_spread_gisting(*decoder);
  at::manual_seed(5);
  for (const NamedTensor& named : gisting->parameters()) named.tensor.normal_(0, 0.2);
  std::vector<TrainingExample> examples;
  for (const std::vector<TokenId>& chat : {std::vector<TokenId>{30, 31, 32}, {33}, {}}) {
    TrainingExample& example = examples.emplace_back();
    example.segment.tokens = {5, 6, 7, 8, 9};
    example.use = MemoryUse::kInstruct;
    example.chat = chat;
    example.prompt = {4};
    example.targets = {8, 9, 10};
  }
  const at::Tensor together = predict(*decoder, *gisting, examples, {}).hidden;
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor alone = predict(*decoder, *gisting, {&examples[i], 1}, {}).hidden;
    EXPECT_TRUE(at::allclose(together.narrow(0, 3 * i, 3), alone, 1e-4, 1e-5)) << i;
  }
  EXPECT_FALSE(at::allclose(together.narrow(0, 0, 3), together.narrow(0, 3, 3), 1e-2, 1e-2));
  const c10::AutoGradMode with(true);
  for (const NamedTensor& named : gisting->parameters()) named.tensor.requires_grad_(true);
  predict(*decoder, *gisting, examples, {}).hidden.square().sum().backward();
  for (const NamedTensor& named : gisting->parameters())
    EXPECT_GT(named.tensor.grad().abs().max().item<double>(), 0.0) << named.name;
}

TEST_F(Predict, PredictsAllTargetsAfterASoftMemory) {
  const auto icae = make_small_icae(*decoder);
  const TrainingExample example{{{5, 6, 7}, nullptr}, {8, 9, 10}, MemoryUse::kAutoencode};
  const PredictedBatch batch = predict(*decoder, *icae, {&example, 1}, {});
  EXPECT_TRUE(at::equal(batch.targets, at::tensor({8, 9, 10}, at::kLong)));
  EXPECT_EQ(batch.hidden.size(0), 3);
}

TEST_F(Predict, RefusesExamplesWithoutTargetsAndUnsupportedUses) {
  const auto selfcp = make_small_selfcp(*decoder);
  TrainingExample example{{{5, 6, 7}, nullptr}, {}};
  expect_error(ErrorKind::kInvalidArgument, "no targets", [&] {
    predict(*decoder, *selfcp, {&example, 1}, {});
  });
  example.targets = {5, 6, 7};
  example.use = MemoryUse::kAutoencode;
  expect_error(ErrorKind::kUnsupported, "say a text again", [&] {
    predict(*decoder, *selfcp, {&example, 1}, {});
  });
}

}  // namespace
}  // namespace precis
