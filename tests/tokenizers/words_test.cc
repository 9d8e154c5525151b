// SPDX-License-Identifier: Apache-2.0
// Normalizers and pre-tokenizers of a tokenizer.json, compared with Hugging Face's tokenizers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "golden_texts.h"
#include "tokenizers/byte_alphabet.h"
#include "tokenizers/tokenizer_json_steps.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

// PCRE2 may be older than the Unicode version of the reference.
bool knows_all_characters(std::string_view text) {
  static const Regex unassigned(R"(\p{Cn})", "test");
  return unassigned.find_all(text).empty();
}

Words split(const TextSteps& steps, std::string_view text) {
  Words words;
  for (const std::string_view word : PreTokenizer(steps.splits, steps.byte_splits).split(text)) {
    words.push_back(steps.byte_level ? to_byte_alphabet(word) : std::string(word));
  }
  return words;
}

TEST(Words, AreThoseOfTheReference) {
  const auto texts = read_golden<std::string>("texts.jsonl");
  size_t num_compared = 0;
  for (const json& row : read_golden<json>("words.jsonl")) {
    const TextSteps steps = read_text_steps({{"pre_tokenizer", row.at("pre_tokenizer")}}, "test");
    for (size_t i = 0; i < row.at("texts").size(); ++i) {
      const std::string& text = texts.at(row.at("texts")[i].get<size_t>());
      if (!knows_all_characters(text)) continue;
      ++num_compared;
      EXPECT_EQ(split(steps, text), row.at("words")[i].get<Words>())
          << row.at("name") << " " << json(text).dump(-1, ' ', true);
    }
  }
  EXPECT_GE(num_compared, 7000u);
}

TEST(Words, ReplacementsAreThoseOfTheReference) {
  for (const json& row : read_golden<json>("replacements.jsonl")) {
    const TextSteps steps = read_text_steps({{"normalizer", row.at("normalizer")}}, "test");
    const Normalizer normalizer(steps.normalizer);
    for (size_t i = 0; i < row.at("texts").size(); ++i) {
      const auto text = row.at("texts")[i].get<std::string>();
      EXPECT_EQ(normalizer.apply(text, true), row.at("normal")[i].get<std::string>())
          << row.at("normalizer") << " " << json(text).dump(-1, ' ', true);
    }
  }
}

struct KnownRegex {
  SplitRule rule;
  const char* regex;
};
constexpr KnownRegex kKnown[] = {
    {SplitRule::kDigits, R"(\p{N})"},
    {SplitRule::kDigitRuns, R"(\p{N}+)"},
    {SplitRule::kGpt2,
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::kGpt2,
     R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitRule::kLlama3,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitRule::kQwen2,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

class Rules : public testing::TestWithParam<KnownRegex> {
 protected:
  void expect_equal_words(const std::string& text) const {
    if (!knows_all_characters(text)) return;
    EXPECT_EQ(by_rule_.split(text), by_regex_.split(text)) << json(text).dump(-1, ' ', true);
  }

  PreTokenizer by_rule_{{GetParam().rule}};
  PreTokenizer by_regex_{
      {RegexSplit(Regex(GetParam().regex, "test"), SplitBehavior::kIsolated, false)}};
};

TEST_P(Rules, AreFoundByTheirExpression) {
  EXPECT_EQ(split_rule_of_regex(GetParam().regex), GetParam().rule);
}

TEST_P(Rules, SplitAsTheirExpression) {
  for (const auto& text : read_golden<std::string>("texts.jsonl")) expect_equal_words(text);
}

TEST_P(Rules, ClassifyEveryCharacterAsTheirExpression) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text = "a";
    append_utf8(text, c);
    expect_equal_words(text + "1");
  }
}

TEST_P(Rules, SplitRandomTextsAsTheirExpression) {
  constexpr std::string_view kPieces[] = {
      "a",          "B",      " ",      "  ",     "\n",      "\r\n",   "\t",
      "1",          "23",     "'s",     "'LL",    "'\u017F", "!",      "\u00E9",
      "e\u0301",    "\u4E2D", "\u0663", "\u00BD", "\u00A0",  "\u2028", "\u180E",
      "\U0001F600", "\u0085", "\x1C",   "_",      "-"};
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto size = random() % 10; size > 0; --size)
      text += kPieces[random() % std::size(kPieces)];
    expect_equal_words(text);
  }
}

INSTANTIATE_TEST_SUITE_P(Words, Rules, testing::ValuesIn(kKnown), [](const auto& test) {
  return "Known" + std::to_string(test.index);
});

}  // namespace
}  // namespace precis
