// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/text_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "golden_texts.h"
#include "precis/extend/load_tokenizer.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

TEST(Utf8, ReplacesBrokenSequencesAsPythonDoes) {
  EXPECT_EQ(repair_utf8("ok \xE2\x82\xAC"), "ok €");
  EXPECT_EQ(repair_utf8("a\x80z"), "a\uFFFDz");
  EXPECT_EQ(repair_utf8("\xE2\x82z"), "\uFFFDz");                          // cut short: one
  EXPECT_EQ(repair_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(repair_utf8("\xC0\xAF"), "\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(repair_utf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");  // over U+10FFFF
  EXPECT_EQ(repair_utf8("\xF0\x9F\x91"), "\uFFFD");
}

TEST(Utf8, FindsIncompleteCharacters) {
  EXPECT_EQ(unfinished_utf8("a\xF0\x9F\x91"), 3u);
  EXPECT_EQ(unfinished_utf8("a\xC3"), 1u);
  EXPECT_EQ(unfinished_utf8("é"), 0u);
  EXPECT_EQ(unfinished_utf8("\xED\xA0"), 0u);
  EXPECT_EQ(unfinished_utf8(""), 0u);
}

class TextStreamTest : public testing::TestWithParam<const char*> {
 protected:
  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(kGolden / GetParam());
};

TEST_P(TextStreamTest, PiecesAreWholeCharacters) {
  for (const auto& text : read_golden<std::string>("texts.jsonl")) {
    TextStream stream(*tokenizer_);
    for (const TokenId id : tokenizer_->encode(text)) EXPECT_TRUE(is_utf8(stream.push(id)));
    EXPECT_EQ(stream.finish(), "");
  }
}

TEST_P(TextStreamTest, ResultsForAnyIdsJoinToTheDecodedText) {
  std::mt19937 random(5);
  std::uniform_int_distribution<TokenId> any_id(0, tokenizer_->vocab_size() - 1);
  for (int round = 0; round < 2000; ++round) {
    Ids ids(1 + random() % 12);
    for (TokenId& id : ids) id = any_id(random);
    EXPECT_EQ(stream(*tokenizer_, ids), tokenizer_->decode(ids, true));
  }
}

INSTANTIATE_TEST_SUITE_P(Text,
                         TextStreamTest,
                         testing::Values("gpt2", "llama3", "llama2", "metaspace", "sentencepiece"),
                         [](const auto& test) { return std::string(test.param); });

TEST(TextStream, HoldsACharacterBackUntilItIsComplete) {
  const auto tokenizer = load_tokenizer(kGolden / "llama2");
  TextStream stream(*tokenizer);
  EXPECT_EQ(stream.push(*tokenizer->find("<0xF0>")), "");
  EXPECT_EQ(stream.push(*tokenizer->find("<0x9F>")), "");
  EXPECT_EQ(stream.push(*tokenizer->find("</s>")), "");
  EXPECT_EQ(stream.push(*tokenizer->find("<0x91>")), "");
  EXPECT_EQ(stream.push(*tokenizer->find("<0x8D>")), "👍");
  EXPECT_EQ(stream.push(*tokenizer->find("<0xC3>")), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TextStream, StripsTheLeadingSpaceOnceAndAfterSpecialTokens) {
  const auto tokenizer = load_tokenizer(kGolden / "llama2");
  const TokenId space = *tokenizer->find("\u2581");
  TextStream stream(*tokenizer);
  EXPECT_EQ(stream.push(*tokenizer->find("<s>")), "");
  EXPECT_EQ(stream.push(space), "");
  EXPECT_EQ(stream.push(space), " ");
}

}  // namespace
}  // namespace precis
