// SPDX-License-Identifier: Apache-2.0
// Suggestions for misspelt words.
#include "base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace precis {
namespace {

const std::vector<std::string> kCommands{
    "compress", "convert", "generate", "info", "score", "tokenize", "train"};

TEST(Nearest, OneErrorOfEachKindIsCorrected) {
  for (const char* word : {"generat", "gnerate", "genrate", "generste", "generrate", "egnerate"})
    EXPECT_EQ(nearest(word, kCommands), "generate") << word;
}

TEST(Nearest, AThirdOfTheLettersMayBeWrong) {
  EXPECT_EQ(nearest("tokinise", kCommands), "tokenize");
  EXPECT_EQ(nearest("tukinise", kCommands), std::nullopt);
}

TEST(Nearest, ShortWordsMayHaveOneError) {
  EXPECT_EQ(nearest("inf", kCommands), "info");
  EXPECT_EQ(nearest("ifo", kCommands), "info");
  EXPECT_EQ(nearest("io", kCommands), std::nullopt);
}

TEST(Nearest, APrefixIsEnough) {
  EXPECT_EQ(nearest("tok", kCommands), "tokenize");
  EXPECT_EQ(nearest("compres", std::vector<std::string>{"refuse", "compress-all"}), "compress-all");
  EXPECT_EQ(nearest("to", kCommands), std::nullopt);
}

TEST(Nearest, TheNearestOfSeveralIsTaken) {
  const std::vector<std::string> flags{"--context-limit", "--context-file"};
  EXPECT_EQ(nearest("--contxt-file", flags), "--context-file");
  EXPECT_EQ(nearest("--contxt-limit", flags), "--context-limit");
}

TEST(Nearest, CaseIsIgnored) { EXPECT_EQ(nearest("TRAIM", kCommands), "train"); }

TEST(Nearest, DistantWordsHaveNoSuggestion) {
  EXPECT_EQ(nearest("frobnicate", kCommands), std::nullopt);
  EXPECT_EQ(nearest("", kCommands), std::nullopt);
  EXPECT_EQ(nearest("train", {}), std::nullopt);
  EXPECT_EQ(nearest(std::string(100000, 'a'), kCommands), std::nullopt);
}

TEST(Nearest, DidYouMeanFormatsTheSuggestion) {
  EXPECT_EQ(did_you_mean("trian", kCommands), "; did you mean train?");
  EXPECT_EQ(did_you_mean("frobnicate", kCommands), "");
}

}  // namespace
}  // namespace precis
