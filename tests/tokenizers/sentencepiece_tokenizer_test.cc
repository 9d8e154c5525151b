// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <random>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizers/protobuf_fields.h"

namespace precis {
namespace {

using testing::Contains;
using testing::Not;

class SentencePieceTest : public testing::Test {
 protected:
  static std::string read_model() {
    std::ifstream file(kGolden / "sentencepiece" / "tokenizer.model", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::unique_ptr<Tokenizer> load(const std::string& bytes) const {
    write_file(directory_ / "tokenizer.model", bytes);
    return load_tokenizer(directory_.path());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(kGolden / "sentencepiece");
};

TEST_F(SentencePieceTest, EncodesAsTheReference) {
  expect_plain_ids(*tokenizer_, "sentencepiece.ids.jsonl");
}

TEST_F(SentencePieceTest, HasTheSpecialTokensOfTheModel) {
  EXPECT_EQ(tokenizer_->special_tokens().bos, 1);
  EXPECT_EQ(tokenizer_->special_tokens().eos, 2);
  EXPECT_TRUE(tokenizer_->special_tokens().add_bos);
  EXPECT_FALSE(tokenizer_->special_tokens().add_eos);
  EXPECT_TRUE(tokenizer_->is_special(1));
  EXPECT_EQ(tokenizer_->find("<s>"), 1);
}

TEST_F(SentencePieceTest, UserTextNeverBecomesAControlToken) {
  EXPECT_THAT(tokenizer_->encode("<s>a</s>"), Not(Contains(1)));
  EXPECT_THAT(tokenizer_->encode("<s>a</s>"), Not(Contains(2)));
  EXPECT_THAT(encode_trusted(*tokenizer_, "<s>a</s>"), Contains(2));
}

TEST_F(SentencePieceTest, DecodesWithoutTheDummyPrefix) {
  const Ids ids = tokenizer_->encode("the river é👍");
  EXPECT_EQ(tokenizer_->decode(ids), "the river é👍");
  EXPECT_EQ(stream(*tokenizer_, ids), "the river é👍");
}

TEST_F(SentencePieceTest, TheSettingsFileDecidesAboutBos) {
  write_file(directory_ / "tokenizer_config.json",
             R"({"add_bos_token": false, "eos_token": {"content": "<sep>"}})");
  const auto tokenizer = load(read_model());
  EXPECT_FALSE(tokenizer->special_tokens().add_bos);
  EXPECT_EQ(tokenizer->special_tokens().eos, tokenizer->find("<sep>"));
}

TEST_F(SentencePieceTest, RefusesInvalidFilesWithoutOutput) {
  testing::internal::CaptureStderr();
  for (const std::string bytes : {"", "garbage", "\x0A\xFF\xFF\xFF\xFF\x0F", "\x0A\x02\x0A"}) {
    expect_error(ErrorKind::kBadWeights, "tokenizer.model", [&] { load(bytes); });
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

// The library builds a table of a unigram model's pieces and throws its own exception for such a
// one.
TEST_F(SentencePieceTest, RefusesAPieceThatBeginsWithAZeroByte) {
  constexpr uint64_t kPiece = 1, kName = 1, kTrainerSpec = 2, kModelType = 3, kUnigram = 1;
  const std::string unigram =
      read_model() + protobuf_message(kTrainerSpec, protobuf_number(kModelType, kUnigram));
  const auto with_piece = [&](const std::string& name) {
    return unigram + protobuf_message(kPiece, protobuf_message(kName, name));
  };
  EXPECT_TRUE(load(with_piece("zebra"))->find("zebra"));
  expect_error(ErrorKind::kBadWeights, "tokenizer.model: SentencePiece refuses the pieces", [&] {
    load(with_piece(std::string("\0zebra", 6)));
  });
}

TEST_F(SentencePieceTest, SurvivesDamage) {
  const std::string whole = read_model();
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    if (round % 3 == 0) damaged.resize(random() % damaged.size());
    try {
      load(damaged)->encode("the café ﬁ１２ \u2581<s>");
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::kInternal) << error.what();
    }
  }
}

}  // namespace
}  // namespace precis
