// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <random>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizers/stop_ids.h"

namespace precis {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

const std::filesystem::path kModels = PRECIS_TEST_MODEL_DIR;

class GgufTokenizerTest : public testing::Test {
 protected:
  static std::string read(const std::string& name) {
    std::ifstream file(kGolden / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::unique_ptr<Tokenizer> load(const std::string& bytes) const {
    std::filesystem::remove(directory_ / "model.gguf");
    write_file(directory_ / "model.gguf", bytes);
    return load_tokenizer(directory_ / "model.gguf");
  }

  // Loads a golden file in which one text is replaced by another of the same length.
  std::unique_ptr<Tokenizer> load_changed(const std::string& name,
                                          const std::string& from,
                                          const std::string& to) const {
    std::string bytes = read(name);
    bytes.replace(bytes.find(from), from.size(), to);
    return load(bytes);
  }

  void expect_survives_damage(const std::string& name) const {
    const std::string whole = read(name);
    std::mt19937 random(4);
    for (int round = 0; round < 500; ++round) {
      std::string damaged = whole;
      damaged[random() % damaged.size()] = static_cast<char>(random());
      try {
        const auto tokenizer = load(damaged);
        tokenizer->decode(tokenizer->encode("the café 12 \u2581<s><|im_end|>"));
      } catch (const Error& error) {
        EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
      }
    }
  }

  TemporaryDirectory directory_;
};

TEST_F(GgufTokenizerTest, ReadsByteLevelVocabularies) {
  const auto tokenizer = load_tokenizer(kGolden / "smollm.gguf");
  expect_plain_ids(*tokenizer, "smollm.ids.jsonl");
  expect_golden_ids("smollm.trusted.jsonl",
                    [&](const std::string& text) { return encode_trusted(*tokenizer, text); });
}

TEST_F(GgufTokenizerTest, ReadsSentencePieceVocabularies) {
  expect_plain_ids(*load_tokenizer(kGolden / "spm.gguf"), "spm.ids.jsonl");
}

TEST_F(GgufTokenizerTest, SmolLmHasBosButDoesNotAddIt) {
  const auto tokenizer = load_tokenizer(kGolden / "smollm.gguf");
  EXPECT_EQ(tokenizer->special_tokens().bos, 1);
  EXPECT_EQ(tokenizer->special_tokens().eos, 2);
  EXPECT_FALSE(tokenizer->special_tokens().add_bos);
}

TEST_F(GgufTokenizerTest, SentencePieceAddsBosUnlessTheFileSaysOtherwise) {
  EXPECT_TRUE(load_tokenizer(kGolden / "spm.gguf")->special_tokens().add_bos);
}

TEST_F(GgufTokenizerTest, UserTextNeverBecomesAControlToken) {
  const auto tokenizer = load_tokenizer(kGolden / "spm.gguf");
  EXPECT_THAT(tokenizer->encode("<s>a</s>"), Not(Contains(1)));
  EXPECT_THAT(encode_trusted(*tokenizer, "<s></s>"), ElementsAre(1, 2));
}

TEST_F(GgufTokenizerTest, UserDefinedPiecesAreMatchedInAnyText) {
  const auto tokenizer = load_tokenizer(kGolden / "spm.gguf");
  EXPECT_THAT(tokenizer->encode("the<sep>river"), Contains(*tokenizer->find("<sep>")));
}

TEST_F(GgufTokenizerTest, NamesAnUnknownPreTokenizer) {
  expect_error(
      ErrorKind::kUnsupported, "smoXlm", [&] { load_changed("smollm.gguf", "smollm", "smoXlm"); });
  expect_error(
      ErrorKind::kUnsupported, "gpt9", [&] { load_changed("smollm.gguf", "gpt2", "gpt9"); });
}

TEST_F(GgufTokenizerTest, EndOfTurnTokensEndAnAnswer) {
  EXPECT_THAT(stop_ids(*load_tokenizer(kGolden / "smollm.gguf")), Not(Contains(1)));
  for (const std::string key : {"ggml.eot_token_id", "ggml.eom_token_id"}) {
    const auto tokenizer = load_changed("smollm.gguf", "ggml.bos_token_id", key);
    EXPECT_THAT(stop_ids(*tokenizer), Contains(1)) << key;
    EXPECT_THAT(stop_ids(*tokenizer), Contains(2)) << key;
  }
}

TEST_F(GgufTokenizerTest, WithoutAPreTokenizerTheErrorSaysWhatToDo) {
  const auto load_nameless = [&] {
    load_changed("smollm.gguf", "tokenizer.ggml.pre", "Tokenizer.ggml.pre");
  };
  expect_error(ErrorKind::kUnsupported, "there is no tokenizer.ggml.pre", load_nameless);
  expect_error(ErrorKind::kUnsupported, "gguf-new-metadata --pre-tokenizer", load_nameless);
}

TEST_F(GgufTokenizerTest, NamesAMissingKey) {
  expect_error(ErrorKind::kBadWeights, "tokenizer.ggml.merges", [&] {
    load_changed("smollm.gguf", "ggml.merges", "ggml.Merges");
  });
  expect_error(ErrorKind::kBadWeights, "tokenizer.ggml.scores", [&] {
    load_changed("spm.gguf", "ggml.scores", "ggml.Scores");
  });
}

TEST_F(GgufTokenizerTest, SurvivesDamage) {
  expect_survives_damage("smollm.gguf");
  expect_survives_damage("spm.gguf");
}

// Published models, tested if they are present.
class BigModel : public testing::TestWithParam<const char*> {};

TEST_P(BigModel, EncodesAsTheReference) {
  const std::string name = GetParam();
  const auto path = kModels / (name + ".gguf");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const auto tokenizer = load_tokenizer(path);
  expect_plain_ids(*tokenizer, name + ".ids.jsonl");
  for (const auto& text : read_golden<std::string>("texts.jsonl")) {
    const Ids ids = tokenizer->encode(text);
    EXPECT_EQ(stream(*tokenizer, ids), tokenizer->decode(ids, true));
  }
}

INSTANTIATE_TEST_SUITE_P(Gguf,
                         BigModel,
                         testing::Values("smollm2-135m-instruct",
                                         "qwen2.5-coder-0.5b-instruct",
                                         "gemma-3-270m"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

}  // namespace
}  // namespace precis
