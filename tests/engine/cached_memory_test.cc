// SPDX-License-Identifier: Apache-2.0
// Prompts with memories of keys and values: only kept text and other cached memories may precede
// them, the positions of the text stay occupied, and gist tokens are never drawn.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "compressors/gisting/gisting.h"
#include "io/json_file.h"
#include "io/safetensors.h"
#include "memory/memory_contents.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
const std::string kText = "the river is full of old boats and the rain is not over";

class CachedMemory : public testing::Test {
 protected:
  // A model whose tokenizer adds a BOS.
  CachedMemory() {
    fs::copy(kModel, model, fs::copy_options::recursive);
    nlohmann::json config = read_json(model / "tokenizer_config.json");
    config["add_bos_token"] = true;
    write_text_file(model / "tokenizer_config.json", config.dump());
  }

  Engine load(const GistingConfig& config) const {
    const c10::NoGradGuard no_grad;
    create_gisting(config, *load_decoder(model, at::kFloat))->save(directory.path() / "gisting");
    EngineOptions options;
    options.model = model;
    options.compressor = directory.path() / "gisting";
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  static GistingConfig frozen() {
    GistingConfig config;
    config.num_gists = 2;
    config.before_text = {1};
    return config;
  }

  static GistingConfig tuned(TokenId gist) {
    GistingConfig config;
    config.form = GistingConfig::Form::kTuned;
    config.num_gists = 2;
    config.gist_id = gist;
    return config;
  }

  static GenerationOptions short_answer(int64_t tokens = 12) {
    GenerationOptions options;
    options.max_tokens = tokens;
    return options;
  }

  TemporaryDirectory directory;
  const fs::path model = directory / "model";
};

TEST_F(CachedMemory, TextToBeCompressedStandsFirstWithoutABosOfThePrompt) {
  const Engine engine = load(frozen());
  const Completion at_once =
      engine.generate(Prompt().compress(kText).keep("and then"), short_answer());
  const Completion kept =
      engine.generate(Prompt().memory(engine.compress(kText)).keep("and then"), short_answer());
  EXPECT_EQ(at_once.ids, kept.ids);
  EXPECT_EQ(at_once.savings.memory_rows, 2);
}

TEST_F(CachedMemory, KeptTextAndOtherCachedMemoriesMayPrecedeIt) {
  const Engine engine = load(frozen());
  const Memory memory = engine.compress(kText);
  const auto same = [&](const Prompt& compressed, const Prompt& ready, int64_t memory_rows) {
    const Completion at_once = engine.generate(compressed, short_answer());
    EXPECT_EQ(at_once.ids, engine.generate(ready, short_answer()).ids);
    EXPECT_EQ(at_once.savings.memory_rows, memory_rows);
  };
  same(Prompt().keep("first").compress(kText).keep("and then"),
       Prompt().keep("first").memory(memory).keep("and then"),
       2);
  same(Prompt().keep("first").compress(kText).compress(kText).keep("and then"),
       Prompt().keep("first").memory(memory).memory(memory).keep("and then"),
       4);
  same(Prompt().memory(memory).compress(kText).keep("and then"),
       Prompt().memory(memory).memory(memory).keep("and then"),
       4);
}

// Only the BOS that the tokenizer adds is left out.
TEST_F(CachedMemory, ABosOfThePromptIsKept) {
  const Engine engine = load(frozen());
  const Completion at_once =
      engine.generate(Prompt().ids({1}).compress(kText).keep("and then"), short_answer());
  const Completion ready = engine.generate(
      Prompt().ids({1}).memory(engine.compress(kText)).keep("and then"), short_answer());
  EXPECT_EQ(at_once.ids, ready.ids);
  EXPECT_EQ(at_once.savings.prompt_rows, ready.savings.prompt_rows);
}

// Context that is compressed in part, between kept tokens.
TEST_F(CachedMemory, ContextAfterKeptTextBecomesACachedMemory) {
  GistingConfig config;
  config.ratio = 4;
  config.spread_positions = true;
  const Engine engine = load(config);
  const std::vector<TokenId> ids = engine.tokenizer().encode(kText);
  GenerationOptions options = short_answer(4);
  options.overflow = Overflow::kCompressFormer;
  options.context_limit = 4 + 2 + std::ssize(ids) - 3;
  const Prompt over = Prompt().ids({5}).context(kText).ids({6});
  const Completion answer = engine.generate(over, options);
  const auto compressed = answer.savings.compressed_tokens;
  ASSERT_GT(compressed, 3);
  ASSERT_LT(compressed, std::ssize(ids));
  const std::span<const TokenId> all(ids);
  const auto first = all.first(compressed), rest = all.subspan(compressed);
  Prompt by_hand = Prompt().ids({5}).memory(engine.compress_ids(first));
  by_hand.ids({rest.begin(), rest.end()}).ids({6});
  EXPECT_EQ(answer.ids, engine.generate(by_hand, short_answer(4)).ids);
  const std::vector<Prompt> both{over, by_hand};
  for (const Completion& one : engine.generate_batch(both, options)) EXPECT_EQ(one.ids, answer.ids);
}

TEST_F(CachedMemory, NothingElseMayPrecedeIt) {
  const Engine engine = load(frozen());
  const Memory memory = engine.compress(kText);
  expect_error(ErrorKind::kInvalidArgument, "gisting makes cached memories", [&] {
    engine.generate(Prompt().memory(memory).keep("first").compress(kText).keep("and then"),
                    short_answer());
  });
  expect_error(ErrorKind::kInvalidArgument, "no cached memory can stand", [&] {
    engine.generate(Prompt().memory(memory).keep("first").memory(memory).keep("and then"),
                    short_answer());
  });
  expect_error(ErrorKind::kInvalidArgument, "nothing follows the memory", [&] {
    engine.generate(Prompt().compress(kText), short_answer());
  });
}

// Attention depends on differences of positions only, and the positions of what follows move along.
TEST_F(CachedMemory, ARebasedMemoryGivesTheSameScores) {
  const Engine engine = load(frozen());
  const Memory memory = engine.compress(kText);
  const Memory moved = engine.rebase(memory, 100);
  EXPECT_NE(moved.content_hash(), memory.content_hash());
  EXPECT_EQ(moved.provenance().source_hash, memory.provenance().source_hash);
  const auto nll = [&](const Memory& one) {
    return engine.score(Prompt().memory(one).keep("and then"), "the boats sank").nll;
  };
  const std::vector<double> before = nll(memory), after = nll(moved);
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(before[i], after[i], 1e-4);
}

TEST_F(CachedMemory, RebasingRefusesOtherMemoriesAndPositionsOutsideTheWindow) {
  const Engine engine = load(frozen());
  const Memory memory = engine.compress(kText);
  const int64_t window = engine.decoder().config().context_length;
  expect_error(ErrorKind::kInvalidArgument, "outside the model's window", [&] {
    engine.rebase(memory, window);
  });
  expect_error(ErrorKind::kInvalidArgument, "outside the model's window", [&] {
    engine.rebase(memory, -1);
  });
  const at::Tensor rows = at::zeros({2, engine.decoder().config().hidden_size});
  Provenance provenance = memory.provenance();
  const Memory soft(std::make_shared<const MemoryContents>(
      MemoryContents{SoftTokens{rows}, std::move(provenance)}));
  expect_error(ErrorKind::kInvalidArgument, "has no position", [&] { engine.rebase(soft, 0); });
}

// The tokenizer adds a BOS to context before it is known whether the context is compressed.
TEST_F(CachedMemory, ContextOverTheLimitStandsFirstWithoutABos) {
  const Engine engine = load(frozen());
  ASSERT_TRUE(engine.tokenizer().special_tokens().add_bos);
  GenerationOptions options = short_answer(4);
  options.overflow = Overflow::kCompressAll;
  options.context_limit = 16;
  const Completion overflown = engine.generate(Prompt().context(kText).keep("and then"), options);
  EXPECT_EQ(overflown.savings.memory_rows, 2);
  const Completion asked = engine.generate(Prompt().compress(kText).keep("and then"), options);
  EXPECT_EQ(overflown.ids, asked.ids);
}

// The memory tokens fit, but the positions of their text do not.
TEST_F(CachedMemory, PositionsHaveToFitTheWindow) {
  GistingConfig config = frozen();
  config.max_segment = 10000;
  const Engine engine = load(config);
  const int64_t window = engine.decoder().config().context_length;
  const std::vector<TokenId> ids(window - 10, 7);
  const Prompt prompt = Prompt().memory(engine.compress_ids(ids)).ids({5, 6});
  EXPECT_EQ(engine.generate(prompt, short_answer(5)).savings.prompt_rows, 4);
  expect_error(ErrorKind::kInvalidArgument, "do not fit the model's window", [&] {
    engine.generate(prompt, short_answer(6));
  });
}

TEST_F(CachedMemory, TheErrorOfTooManyPositionsNamesTheOption) {
  GistingConfig config;
  config.ratio = 4;
  config.spread_positions = true;
  config.max_segment = 500;
  const Engine engine = load(config);
  const std::vector<TokenId> ids(500, 7), rest(9, 5);
  CompressOptions options;
  options.positions = MemoryPositions::kText;
  const Memory of_text = engine.compress_ids(ids, options);
  options.positions = MemoryPositions::kRows;
  const Memory of_rows = engine.compress_ids(ids, options);
  EXPECT_EQ(of_rows.num_tokens(), of_text.num_tokens());
  expect_error(ErrorKind::kInvalidArgument, "--positions rows", [&] {
    engine.generate(Prompt().memory(of_text).ids(rest), short_answer(4));
  });
  EXPECT_EQ(
      engine.generate(Prompt().memory(of_rows).ids(rest), short_answer(4)).savings.prompt_rows,
      of_rows.num_tokens() + 9);
}

// Unless options.positions is set. Spread gists have the positions of their text by default.
TEST_F(CachedMemory, TextLongerThanTheWindowBecomesAMemoryThatTakesFewerPositions) {
  GistingConfig config;
  config.ratio = 4;
  config.spread_positions = true;
  config.max_segment = 400;
  const Engine engine = load(config);
  std::string text;
  while (std::ssize(engine.tokenizer().encode(text)) < 900) text += kText + " ";
  const Prompt prompt = Prompt().compress(text).keep("and then");
  GenerationOptions options = short_answer(4);
  const Savings savings = engine.generate(prompt, options).savings;
  EXPECT_GT(savings.prompt_tokens, 900);
  EXPECT_LT(savings.prompt_rows, 300);
  options.compression.positions = MemoryPositions::kText;
  expect_error(
      ErrorKind::kInvalidArgument, "--positions rows", [&] { engine.generate(prompt, options); });
}

TEST_F(CachedMemory, TheGistIsNeverDrawn) {
  const Prompt prompt = Prompt().ids({5, 6, 9});
  const Completion free = load(tuned(311)).generate(prompt, short_answer());
  ASSERT_FALSE(free.ids.empty());
  const TokenId favourite = free.ids.front();
  const Engine engine = load(tuned(favourite));
  const auto never = [&](const Completion& completion) {
    EXPECT_EQ(std::ranges::count(completion.ids, favourite), 0);
    EXPECT_FALSE(completion.ids.empty());
  };
  never(engine.generate(prompt, short_answer()));
  for (const Completion& completion : engine.generate_batch({&prompt, 1}, short_answer()))
    never(completion);
}

TEST_F(CachedMemory, SuppressedIdsAreNeverDrawn) {
  const Engine engine = load(frozen());
  const Prompt prompt = Prompt().ids({5, 6, 9});
  GenerationOptions options = short_answer();
  const TokenId favourite = engine.generate(prompt, options).ids.at(0);
  options.suppressed_ids = {favourite};
  EXPECT_EQ(std::ranges::count(engine.generate(prompt, options).ids, favourite), 0);
}

}  // namespace
}  // namespace precis
