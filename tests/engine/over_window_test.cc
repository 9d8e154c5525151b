// SPDX-License-Identifier: Apache-2.0
// Texts and memories that are longer than the context window, with the default compressor, and
// memories after other tokens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "precis/precis.h"
#include "support/expect_error.h"

namespace precis {
namespace {

constexpr int64_t kWindow = 512;
constexpr int64_t kAnswer = 4;

// A tiny model with a context window of 512, whose tokenizer adds no BOS.
class OverWindow : public testing::Test {
 protected:
  static Engine load() {
    EngineOptions options;
    options.model = std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / "llama";
    options.dtype = Dtype::kFloat32;
    return Engine::load(options);
  }

  int64_t tokens_of(const std::string& text) const {
    return std::ssize(engine.tokenizer().encode(text));
  }

  // A text of `tokens` tokens or a few more.
  std::string text_of(int64_t tokens) const {
    std::string text;
    for (int i = 0; tokens_of(text) < tokens; ++i)
      text += " the water of the town and its bridge " + std::to_string(i * i);
    return text;
  }

  static std::vector<TokenId> ids_of(int64_t count) {
    std::vector<TokenId> ids;
    for (int64_t i = 0; i < count; ++i) ids.push_back(5 + i * 37 % 300);
    return ids;
  }

  static GenerationOptions answer(Overflow overflow = Overflow::kRefuse, double ratio = 4) {
    GenerationOptions options;
    options.max_tokens = kAnswer;
    options.overflow = overflow;
    options.compression.ratio = ratio;
    return options;
  }

  Memory memory_of(int64_t tokens, MemoryPositions positions, double ratio = 4) const {
    CompressOptions options;
    options.ratio = ratio;
    options.positions = positions;
    return engine.compress_ids(ids_of(tokens), options);
  }

  int64_t rows_of(const Prompt& prompt) const {
    return engine.generate(prompt, answer()).savings.prompt_rows;
  }

  const Engine engine = load();
};

TEST_F(OverWindow, ATextOfFourWindowsIsCompressedToFit) {
  const std::string text = text_of(4 * kWindow);
  const int64_t tokens = tokens_of(text), rest = tokens_of(" so");
  const Prompt prompt = Prompt().context(text).keep(" so");
  const Savings all = engine.generate(prompt, answer(Overflow::kCompressAll, 8)).savings;
  EXPECT_EQ(all.prompt_tokens, tokens + rest);
  EXPECT_EQ(all.compressed_tokens, tokens);
  EXPECT_LE(all.memory_rows, tokens / 8);
  EXPECT_GT(all.memory_rows, tokens / 9);
  EXPECT_EQ(all.prompt_rows, all.memory_rows + rest);
  EXPECT_EQ(all.rows_read, rest);
  EXPECT_GT(all.kv_bytes_saved, 0);
}

// As little as possible is compressed: the end of the text is verbatim.
TEST_F(OverWindow, OfATextOfFourWindowsTheBeginningIsCompressed) {
  const std::string text = text_of(4 * kWindow);
  const int64_t tokens = tokens_of(text), rest = tokens_of(" so");
  const Savings former =
      engine.generate(Prompt().context(text).keep(" so"), answer(Overflow::kCompressFormer, 8))
          .savings;
  EXPECT_EQ(former.prompt_tokens, tokens + rest);
  EXPECT_LT(former.compressed_tokens, tokens);
  EXPECT_LE(former.prompt_rows, kWindow - kAnswer);
  EXPECT_GT(former.prompt_rows, kWindow - kAnswer - 10);
  EXPECT_EQ(former.rows_read, tokens - former.compressed_tokens + rest);
}

TEST_F(OverWindow, TextToBeCompressedMayBeLongerThanTheWindow) {
  const std::string text = text_of(2 * kWindow);
  const Savings savings =
      engine.generate(Prompt().compress(text).keep(" so"), answer(Overflow::kRefuse, 4)).savings;
  EXPECT_EQ(savings.compressed_tokens, tokens_of(text));
  EXPECT_LT(savings.prompt_rows, kWindow - kAnswer);
}

// kText is obeyed although kRows would fit.
TEST_F(OverWindow, PositionsOfTheOptionsAreKept) {
  GenerationOptions options = answer(Overflow::kCompressAll, 8);
  options.compression.positions = MemoryPositions::kText;
  expect_error(ErrorKind::kInvalidArgument, "do not fit the model's window", [&] {
    engine.generate(Prompt().context(text_of(2 * kWindow)).keep(" so"), options);
  });
}

TEST_F(OverWindow, TheErrorOfALongPromptNamesTheRemedy) {
  const std::string text = text_of(2 * kWindow);
  const Prompt context = Prompt().context(text).keep(" so");
  const auto refuse =
      [&](const Prompt& prompt, const GenerationOptions& options, const std::string& part) {
        expect_error(ErrorKind::kInvalidArgument, part, [&] { engine.generate(prompt, options); });
      };
  refuse(context,
         answer(),
         "; Overflow::kCompressFormer (--overflow compress-former) makes its context fit");
  refuse(context, answer(Overflow::kCompressAll, 1.5), "; a higher ratio takes fewer");
  refuse(Prompt().compress(text).keep(" so"),
         answer(Overflow::kRefuse, 1.5),
         "; a higher ratio takes fewer");
  // There is no remedy if all of it is to be kept.
  refuse(Prompt().keep(text), answer(), "(the context window less the tokens to be generated)");
}

TEST_F(OverWindow, TheErrorOfAMemoryOfTooManyPositionsNamesTheRemedy) {
  const Memory of_text = memory_of(600, MemoryPositions::kText),
               of_rows = memory_of(600, MemoryPositions::kRows);
  EXPECT_EQ(of_text.num_tokens(), of_rows.num_tokens());
  expect_error(ErrorKind::kInvalidArgument,
               "a memory in it keeps the positions of its text: made with those of its rows "
               "(CompressOptions::positions, --positions rows) it takes fewer",
               [&] { rows_of(Prompt().memory(of_text).keep(" so")); });
  EXPECT_EQ(rows_of(Prompt().memory(of_rows).keep(" so")), 150 + tokens_of(" so"));
}

TEST_F(OverWindow, TheErrorOfAMemoryOfTooManyTokensNamesTheRemedy) {
  const Memory whole = memory_of(kWindow - 1, MemoryPositions::kRows, 1);
  expect_error(ErrorKind::kInvalidArgument, "over the limit of 508", [&] {
    rows_of(Prompt().memory(whole).keep(" so"));
  });
}

// The message is one line and names the window.
TEST_F(OverWindow, AMemoryThatDoesNotFitAfterOthersIsRefused) {
  const Memory memory = memory_of(kWindow - 1, MemoryPositions::kText);
  for (const Prompt& prompt : {Prompt().keep("the water of the town").memory(memory).keep(" so"),
                               Prompt().memory(memory).memory(memory).keep(" so")}) {
    try {
      engine.generate(prompt, answer());
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument);
      const std::string message = error.what();
      EXPECT_THAT(message, testing::HasSubstr("model's window of 512"));
      EXPECT_EQ(std::ranges::count(message, '\n'), 0) << message;
    }
  }
}

// Attention sinks

TEST_F(OverWindow, AMemoryAtTheBeginningKeepsItsSink) {
  const Memory memory = memory_of(40, MemoryPositions::kRows);
  EXPECT_EQ(rows_of(Prompt().memory(memory).keep(" so")), 10 + tokens_of(" so"));
}

TEST_F(OverWindow, AfterOtherTokensAMemoryLosesItsSink) {
  for (const MemoryPositions positions : {MemoryPositions::kText, MemoryPositions::kRows}) {
    const Memory memory = memory_of(40, positions);
    const int64_t rest = tokens_of(" so");
    EXPECT_EQ(rows_of(Prompt().ids({5, 6, 7}).memory(memory).keep(" so")), 3 + 9 + rest);
    EXPECT_EQ(rows_of(Prompt().memory(memory).memory(memory).keep(" so")), 10 + 9 + rest);
    EXPECT_EQ(rows_of(Prompt().ids({5}).memory(memory).memory(memory).keep(" so")),
              1 + 9 + 9 + rest);
  }
}

TEST_F(OverWindow, AMemoryThatIsAllSinkIsKeptAfterOtherTokens) {
  const Memory memory = memory_of(1, MemoryPositions::kRows);
  EXPECT_EQ(rows_of(Prompt().ids({5, 6, 7}).memory(memory).keep(" so")), 3 + 1 + tokens_of(" so"));
}

TEST_F(OverWindow, ARebasedMemoryIsReadAlike) {
  const Memory memory = memory_of(40, MemoryPositions::kText);
  const auto nll = [&](const Memory& one) {
    const Prompt prompt = Prompt().ids({5, 6, 7}).memory(one).ids({8});
    return engine.score_ids(prompt, std::vector<TokenId>{9, 10}).nll;
  };
  EXPECT_THAT(nll(engine.rebase(memory, 30)),
              testing::Pointwise(testing::DoubleNear(1e-4), nll(memory)));
}

}  // namespace
}  // namespace precis
