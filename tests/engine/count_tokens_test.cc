// SPDX-License-Identifier: Apache-2.0
// Queries before generation: the context length, the length of a prompt, and ids outside the
// vocabulary.
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"

namespace precis {
namespace {

namespace fs = std::filesystem;

class Asked : public testing::Test {
 protected:
  Asked()
      : engine(Engine::load({.model = fs::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama",
                             .compressor = "kvzip",
                             .dtype = Dtype::kFloat32})) {}

  int64_t tokens_of(const std::string& text) const {
    return std::ssize(engine.tokenizer().encode(text));
  }

  // Savings::prompt_tokens of a completion.
  int64_t counted_by_answer(const Prompt& prompt) const {
    return engine.generate(prompt, {.max_tokens = 1}).savings.prompt_tokens;
  }

  const std::string text = "the river is full of old boats";
  Engine engine;
};

TEST_F(Asked, TheContextLengthIsThatOfConfigJson) { EXPECT_EQ(engine.context_length(), 512); }

TEST_F(Asked, APromptOfTextHasTheTokensOfTheText) {
  EXPECT_EQ(engine.count_tokens(Prompt().keep(text)), tokens_of(text));
  EXPECT_EQ(engine.count_tokens(Prompt().ids({5, 6, 7}).keep(text)), 3 + tokens_of(text));
}

TEST_F(Asked, EveryTreatmentIsCountedAsTheAnswerCountsIt) {
  const Memory memory = engine.compress(text);
  for (const Prompt& prompt : {Prompt().keep(text),
                               Prompt().memory(memory).keep(" and"),
                               Prompt().compress(text).keep(" and"),
                               Prompt().context(text).keep(" and")})
    EXPECT_EQ(engine.count_tokens(prompt), counted_by_answer(prompt));
  EXPECT_EQ(engine.count_tokens(Prompt().memory(memory)), tokens_of(text));
}

// Counting neither compresses nor runs the model.
TEST_F(Asked, APromptOverTheWindowIsCountedToo) {
  std::string longer;
  for (int i = 0; i < 200; ++i) longer += text + " ";
  EXPECT_GT(engine.count_tokens(Prompt().keep(longer)), engine.context_length());
  expect_error(ErrorKind::kInvalidArgument, "empty", [&] { engine.count_tokens(Prompt()); });
}

TEST_F(Asked, IdsOutsideTheVocabularyEndNothing) {
  for (const TokenId id : {TokenId{320}, TokenId{-1}}) {
    const std::string message = "stop_ids: id " + std::to_string(id) + " is outside the vocabulary";
    const GenerationOptions options{.max_tokens = 1, .stop_ids = {5, id}};
    expect_error(ErrorKind::kInvalidArgument, message, [&] {
      engine.generate(Prompt().keep(text), options);
    });
    expect_error(ErrorKind::kInvalidArgument, message, [&] {
      engine.generate_batch(std::vector{Prompt().keep(text)}, options);
    });
  }
  const GenerationOptions suppressed{.max_tokens = 1, .suppressed_ids = {320}};
  expect_error(ErrorKind::kInvalidArgument, "suppressed_ids: id 320", [&] {
    engine.generate(Prompt().keep(text), suppressed);
  });
}

// A cached memory has no hidden state that predicts the first id: it is read, and the others are
// scored.
TEST_F(Asked, AfterACachedMemoryAloneScoresBeginWithTheSecondId) {
  const Memory memory = engine.compress(text);
  const std::vector<TokenId> ids{30, 31, 32, 33};
  const Score score = engine.score_ids(Prompt().memory(memory), ids);
  const Score read = engine.score_ids(Prompt().memory(memory).ids({30}), std::span(ids).subspan(1));
  ASSERT_EQ(score.nll.size(), 3u);
  EXPECT_EQ(score.nll, read.nll);
  EXPECT_EQ(engine.score_ids(Prompt().memory(memory).keep(""), ids).nll, score.nll);
}

}  // namespace
}  // namespace precis
