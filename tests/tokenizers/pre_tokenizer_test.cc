// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizers/unicode.h"

namespace precis {
namespace {

using testing::ElementsAre;

std::vector<std::string_view> split(SplitRule rule, std::string_view text) {
  return PreTokenizer({rule}).split(text);
}

TEST(PreTokenizer, Gpt2KeepsOneSpaceWithTheWordAfterIt) {
  EXPECT_THAT(split(SplitRule::kGpt2, "one  two   3!"),
              ElementsAre("one", " ", " two", "  ", " 3", "!"));
  EXPECT_THAT(split(SplitRule::kGpt2, "end  "), ElementsAre("end", "  "));
  EXPECT_THAT(split(SplitRule::kGpt2, "a\n b"), ElementsAre("a", "\n", " b"));
  EXPECT_THAT(split(SplitRule::kGpt2, "a\nb"), ElementsAre("a", "\n", "b"));
}

TEST(PreTokenizer, Gpt2KnowsContractionsInLowerCaseOnly) {
  EXPECT_THAT(split(SplitRule::kGpt2, "it's"), ElementsAre("it", "'s"));
  EXPECT_THAT(split(SplitRule::kGpt2, "IT'S"), ElementsAre("IT", "'", "S"));
  EXPECT_THAT(split(SplitRule::kGpt2, "we'll've"), ElementsAre("we", "'ll", "'ve"));
}

TEST(PreTokenizer, SmolLmSplitsEveryDigit) {
  const PreTokenizer smollm({SplitRule::kDigits, SplitRule::kGpt2});
  EXPECT_THAT(smollm.split("in 2024"), ElementsAre("in", " ", "2", "0", "2", "4"));
}

TEST(PreTokenizer, Llama3TakesThreeDigitsAndQwen2One) {
  EXPECT_THAT(split(SplitRule::kLlama3, "x 12345"), ElementsAre("x", " ", "123", "45"));
  EXPECT_THAT(split(SplitRule::kQwen2, "x 123"), ElementsAre("x", " ", "1", "2", "3"));
}

TEST(PreTokenizer, Llama3KnowsContractionsInAnyCase) {
  EXPECT_THAT(split(SplitRule::kLlama3, "IT'S we'Re"), ElementsAre("IT", "'S", " we", "'Re"));
  EXPECT_THAT(split(SplitRule::kLlama3, "it'\u017F"), ElementsAre("it", "'\u017F"));
}

TEST(PreTokenizer, Llama3KeepsLineBreaksWithPunctuation) {
  EXPECT_THAT(split(SplitRule::kLlama3, "a!\n\n b"), ElementsAre("a", "!\n\n", " b"));
  EXPECT_THAT(split(SplitRule::kLlama3, "a \n\t b"), ElementsAre("a", " \n", "\t", " b"));
  EXPECT_THAT(split(SplitRule::kLlama3, "(a)"), ElementsAre("(a", ")"));
  EXPECT_THAT(split(SplitRule::kLlama3, "\na"), ElementsAre("\n", "a"));
}

TEST(PreTokenizer, MetaspaceBeginsAWordAtEveryMark) {
  EXPECT_THAT(split(SplitRule::kMetaspace, "\u2581a\u2581\u2581b"),
              ElementsAre("\u2581a", "\u2581", "\u2581b"));
}

TEST(PreTokenizer, WithoutRulesATextIsOneWord) {
  EXPECT_THAT(PreTokenizer().split("one two"), ElementsAre("one two"));
  EXPECT_TRUE(PreTokenizer().split("").empty());
}

TEST(PreTokenizer, StepsAfterTheByteAlphabetReadACharacterForEachByte) {
  // The bytes C2 B2 of a superscript two are spelt U+00C2 U+00B2, of which the second is a number.
  const PreTokenizer byte_digits({}, {SplitRule::kDigits});
  EXPECT_THAT(byte_digits.split("a\u00B2"), ElementsAre("a\xC2", "\xB2"));
  EXPECT_THAT(byte_digits.split("a b"), ElementsAre("a b"));
}

TEST(PreTokenizer, IsFoundByRegexAndByName) {
  EXPECT_EQ(split_rule_of_regex(R"(\p{N})"), SplitRule::kDigits);
  EXPECT_EQ(split_rule_of_regex(R"(\w+)"), std::nullopt);
  EXPECT_THAT(*split_rules_of_gguf_name("smollm"),
              ElementsAre(SplitRule::kDigits, SplitRule::kGpt2));
  EXPECT_EQ(split_rules_of_gguf_name("default"), std::nullopt);
}

TEST(CharacterClass, FollowsUnicode16) {
  EXPECT_EQ(character_class(U'\u00E9'), CharacterClass::kLetter);
  EXPECT_EQ(character_class(U'\u2167'), CharacterClass::kNumber);  // Roman numeral eight
  EXPECT_EQ(character_class(U'\u3000'), CharacterClass::kSpace);
  EXPECT_EQ(character_class(U'\u001C'), CharacterClass::kOther);
  EXPECT_EQ(character_class(U'\u0301'), CharacterClass::kOther);
  EXPECT_EQ(character_class(U'\U00013460'), CharacterClass::kLetter);
  EXPECT_EQ(character_class(U'\U00010D40'), CharacterClass::kNumber);
}

}  // namespace
}  // namespace precis
