// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/expect_error.h"
#include "tokenizers/regex_syntax.h"

namespace precis {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> matches(const Regex& regex, std::string_view text) {
  std::vector<std::string> found;
  for (const auto [begin, end] : regex.find_all(text)) {
    found.emplace_back(text.substr(begin, end - begin));
  }
  return found;
}

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  return matches(Regex(pattern, "t.json"), text);
}

TEST(Regex, FindsMatchesFromLeftToRightWithoutOverlaps) {
  EXPECT_THAT(matches("aa|b", "aaaab"), ElementsAre("aa", "aa", "b"));
  EXPECT_THAT(matches("x", "aaaab"), IsEmpty());
  EXPECT_THAT(matches("\u6F22",
                      "a\u6F22"
                      "b\u6F22"),
              ElementsAre("\u6F22", "\u6F22"));
}

TEST(Regex, SkipsAnEmptyMatchAfterAnotherMatch) {
  EXPECT_THAT(matches("a*", "baac"), ElementsAre("", "aa", ""));
  EXPECT_THAT(matches("", "\u00E9"), ElementsAre("", ""));
}

TEST(Regex, ALiteralHasNoSpecialCharacters) {
  EXPECT_THAT(matches(Regex::literal("a.[", "t.json"), "a.[ab["), ElementsAre("a.["));
}

TEST(Regex, FollowsOnigurumaWherePcre2Differs) {
  EXPECT_THAT(matches("[a[b-d]&&[^c]]+", "abcd"), ElementsAre("ab", "d"));
  EXPECT_THAT(matches(R"(\h+)", "12fg \t"), ElementsAre("12f"));
  EXPECT_THAT(matches(R"(\d{1,2}+)", "12345"), ElementsAre("12345"));
  EXPECT_THAT(matches("^a|b$", "a\nab\nb"), ElementsAre("a", "a", "b", "b"));
  EXPECT_THAT(matches("(?m)a.", "a\n"), ElementsAre("a\n"));
  EXPECT_THAT(matches("b(?i)a|c", "bA C bC"), ElementsAre("bA", "bC"));
  EXPECT_THAT(matches(R"(\p{Han})", "\u3001\u6F22"),
              ElementsAre("\u6F22"));  // a script, not its extensions
}

void expect_refused(ErrorKind kind, const std::string& part, const std::string& pattern) {
  SCOPED_TRACE(pattern);
  expect_error(kind, part, [&] { Regex(pattern, "some/tokenizer.json"); });
  expect_error(kind, "some/tokenizer.json", [&] { Regex(pattern, "some/tokenizer.json"); });
}

TEST(Regex, NamesWhereAnExpressionIsMalformed) {
  expect_refused(ErrorKind::kBadWeights, "\"ab(c\" has an open group (before byte 4)", "ab(c");
  expect_refused(ErrorKind::kBadWeights, "unmatched parenthesis (before byte 3)", "ab)c");
  expect_refused(ErrorKind::kBadWeights, "ends too early", "[ab");
  expect_refused(ErrorKind::kBadWeights, "ends too early", "ab\\");
  expect_refused(ErrorKind::kBadWeights, "ends too early", R"(\p{L)");
  expect_refused(ErrorKind::kBadWeights, "repeats nothing", "a|*b");
  expect_refused(ErrorKind::kBadWeights, "repeats nothing", "^*");
  expect_refused(ErrorKind::kBadWeights, "bad range", "[b-a]");
  expect_refused(ErrorKind::kBadWeights, "empty character class", "[a&&]");
  expect_refused(ErrorKind::kBadWeights, "character code", R"(\x{})");
  expect_refused(ErrorKind::kBadWeights, "code that is no character", R"(\x{D800})");
  expect_refused(ErrorKind::kBadWeights, "code that is no character", R"(\x{110000})");
}

TEST(Regex, NamesUnsupportedSyntax) {
  for (const char* pattern : {"(?<name>a)",
                              "(?~a)",
                              "(?(a)b)",
                              "(?x)a",
                              "(*FAIL)",
                              R"(\G)",
                              R"(\K)",
                              R"(\R)",
                              R"(\X)",
                              R"((a)\1)",
                              R"(\xE3\x81)",
                              R"(\pL)",
                              "[[:graph:]]",
                              "a{3,2}"}) {
    expect_refused(ErrorKind::kUnsupported, "which Precis does not support", pattern);
  }
  expect_refused(ErrorKind::kUnsupported, "cannot be compiled", R"(\p{Klingon})");
  expect_refused(ErrorKind::kUnsupported, "cannot be compiled", "(?<=a+)b");
  expect_refused(ErrorKind::kUnsupported, "nested too deeply", std::string(1000, '(') + ")");
  expect_refused(ErrorKind::kUnsupported, "nested too deeply", std::string(1000, '['));
  expect_refused(ErrorKind::kUnsupported, "in a row", "a" + std::string(1000, '*'));
  expect_refused(ErrorKind::kUnsupported, "expected at most", std::string(100'000, 'a'));
}

TEST(Regex, StopsCatastrophicBacktracking) {
  const Regex regex("(a+)+[bc]", "some/tokenizer.json");
  const std::string text(60, 'a');
  expect_error(ErrorKind::kUnsupported, "\"(a+)+[bc]\" does not get through this text", [&] {
    regex.find_all(text);
  });
  expect_error(ErrorKind::kUnsupported, "some/tokenizer.json", [&] { regex.find_all(text); });
  EXPECT_THAT(matches(regex, "aab"), ElementsAre("aab"));
}

// The machine code's stack is too small for these, so that the interpreter runs them.
TEST(Regex, MatchesLongRunsOfGroups) {
  const std::string text(300'000, 'a');
  EXPECT_THAT(matches("(?:a|b)+", text), ElementsAre(text));
  EXPECT_THAT(matches("[a-z&&[^x]]+", text), ElementsAre(text));
}

TEST(Regex, TakesLinearTime) {
  const std::string text(1'000'000, ' ');
  EXPECT_THAT(matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", text), ElementsAre(text));
  std::string words;
  while (words.size() < 2'000'000) words += "word ";
  EXPECT_EQ(matches(R"(\p{L}+)", words).size(), words.size() / 5);
}

TEST(Regex, SearchesFromSeveralThreads) {
  const Regex regex(R"(\p{L}+)", "t.json");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        EXPECT_THAT(matches(regex, "ab 12 \u00E9"), ElementsAre("ab", "\u00E9"));
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace precis
