// SPDX-License-Identifier: Apache-2.0
// Prompts of Engine::apply_template(): memories among the trained embeddings of their template.
#include <gtest/gtest.h>

#include <filesystem>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/load_decoder.h"
#include "precis/precis.h"
#include "support/expect_error.h"
#include "support/small_compressors.h"

namespace precis {
namespace {

Engine engine_over(const char* model, bool with_compressor = true) {
  auto decoder =
      load_decoder(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "models" / model, at::kFloat);
  auto compressor = with_compressor ? make_small_icae(*decoder) : nullptr;
  return Engine::assemble(std::move(decoder), std::move(compressor));
}

const std::vector<TokenId> kText{5, 6, 7, 8, 9, 10, 11};

TEST(TemplatedPrompt, EmbeddingsTakePositionsButStandForNoText) {
  const Engine engine = engine_over("llama");
  const Memory memory = engine.compress_ids(kText);
  const TemplatedPrompt templated = engine.apply_template({&memory, 1}, MemoryUse::kAutoencode);
  GenerationOptions options;
  options.max_tokens = 3;
  const Savings savings = engine.generate(templated.prompt, options).savings;
  EXPECT_EQ(savings.prompt_tokens, std::ssize(kText));
  EXPECT_EQ(savings.prompt_rows, memory.num_tokens() + 1);  // ICAE's "AE" embedding
  EXPECT_EQ(savings.memory_rows, memory.num_tokens() + 1);
  EXPECT_EQ(engine.count_tokens(templated.prompt), std::ssize(kText));
}

// score_ids() adds it directly after a memory only.
TEST(TemplatedPrompt, TheContinuationMarkIsReadOnce) {
  const Engine engine = engine_over("llama");
  const Memory memory = engine.compress_ids(kText);
  const Prompt marked = engine.apply_template({&memory, 1}, MemoryUse::kContinue).prompt;
  ASSERT_EQ(marked.turns().front().pieces.size(), 2u);
  const std::vector<TokenId> ids{12, 13, 14};
  const std::vector<double> nll = engine.score_ids(marked, ids).nll;
  EXPECT_EQ(nll, engine.score_ids(Prompt().memory(memory), ids).nll);
  EXPECT_NE(nll, engine.score_ids(Prompt().memory(memory).ids({12}), ids).nll);
}

TEST(TemplatedPrompt, AnotherModelRefusesTheEmbeddings) {
  const Prompt prompt = engine_over("llama").apply_template({}, MemoryUse::kAutoencode).prompt;
  expect_error(ErrorKind::kInvalidArgument, "embeddings for model", [&] {
    engine_over("qwen2", /*with_compressor=*/false).generate(prompt);
  });
}

}  // namespace
}  // namespace precis
