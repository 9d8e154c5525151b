// SPDX-License-Identifier: Apache-2.0
#include "eval/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/words.h"
#include "io/json_file.h"
#include "support/expect_error.h"

namespace precis {
namespace {

using Texts = std::vector<std::string>;

constexpr double kTolerance = 1e-6;

// Results of the reference tools; see golden/make_metrics_golden.py.
class MetricsGolden : public testing::Test {
 protected:
  // Runs `check` on every pair of texts, failures marked with the hypothesis.
  template <typename Check>
  void for_each_pair(const Check& check) {
    ASSERT_GE(golden.at("pairs").size(), 60u);
    for (const auto& pair : golden.at("pairs")) {
      const auto hypothesis = pair.at("hypothesis").get<std::string>();
      SCOPED_TRACE(pair.at("hypothesis").dump());
      check(pair, hypothesis, pair.at("references").get<Texts>());
    }
  }

  const nlohmann::json golden =
      read_json(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "metrics.json");
};

TEST_F(MetricsGolden, BleuOfOneTextIsSacrebleus) {
  for_each_pair([](const auto& pair, const std::string& hypothesis, const Texts& references) {
    EXPECT_EQ(bleu_words(hypothesis), pair.at("bleu_words").template get<Words>());
    EXPECT_NEAR(corpus_bleu(Texts{hypothesis}, Texts{references[0]}), pair.at("bleu"), kTolerance);
  });
}

TEST_F(MetricsGolden, BleuOfACorpusIsSacrebleus) {
  ASSERT_FALSE(golden.at("corpora").empty());
  for (const auto& corpus : golden.at("corpora")) {
    const auto hypotheses = corpus.at("hypotheses").get<Texts>();
    const auto references = corpus.at("references").get<Texts>();
    EXPECT_NEAR(corpus_bleu(hypotheses, references), corpus.at("bleu"), kTolerance);
  }
}

TEST_F(MetricsGolden, RougeIsThatOfRougeScore) {
  for_each_pair([](const auto& pair, const std::string& hypothesis, const Texts& references) {
    const Rouge found = rouge(references[0], hypothesis);
    EXPECT_NEAR(found.rouge1, pair.at("rouge1"), kTolerance);
    EXPECT_NEAR(found.rouge2, pair.at("rouge2"), kTolerance);
    EXPECT_NEAR(found.rouge_l, pair.at("rouge_l"), kTolerance);
  });
}

TEST_F(MetricsGolden, AnswersAreComparedAsInSquad) {
  for_each_pair([](const auto& pair, const std::string& hypothesis, const Texts& references) {
    EXPECT_EQ(squad_words(hypothesis), pair.at("squad_words").template get<Words>());
    // Those have a rule of their own, see golden/make_answers_golden.py.
    if (has_cjk(hypothesis) || std::ranges::any_of(references, has_cjk)) return;
    EXPECT_EQ(answer_words(hypothesis), squad_words(hypothesis));
    EXPECT_NEAR(answer_f1(hypothesis, references), pair.at("squad_f1"), kTolerance);
    EXPECT_EQ(answer_exact_match(hypothesis, references), pair.at("squad_exact_match"));
    EXPECT_EQ(contains_answer(hypothesis, references), pair.at("contains_answer"));
  });
}

TEST(AnswersGolden, ChineseIsComparedCharacterByCharacter) {
  const nlohmann::json golden =
      read_json(std::filesystem::path(PRECIS_TEST_GOLDEN_DIR) / "answers.json");
  ASSERT_GE(golden.at("pairs").size(), 30u);
  for (const auto& pair : golden.at("pairs")) {
    SCOPED_TRACE(pair.dump());
    const auto answer = pair.at("answer").get<std::string>();
    const auto references = pair.at("references").get<Texts>();
    EXPECT_EQ(answer_words(answer), pair.at("words").get<Words>());
    EXPECT_NEAR(answer_f1(answer, references), pair.at("f1"), kTolerance);
    EXPECT_EQ(answer_exact_match(answer, references), pair.at("exact_match"));
    EXPECT_EQ(contains_answer(answer, references), pair.at("contains"));
  }
}

TEST(Bleu, ACorpusIsMoreThanTheMeanOfItsTexts) {
  const Texts said = {"one two three four five", "six"};
  const Texts wanted = {"one two three four five", "six seven"};
  // All n-grams are shared, 6 words stand for 7.
  EXPECT_NEAR(corpus_bleu(said, wanted), 100 * std::exp(1 - 7.0 / 6), 1e-9);
}

TEST(Bleu, OrdersWithoutASharedRunAreHalvedInTurn) {
  // 5 of 5 words, none of 4, 3 and 2 runs.
  const double product = 5.0 / 5 * (1.0 / (2 * 4)) * (1.0 / (4 * 3)) * (1.0 / (8 * 2));
  EXPECT_NEAR(
      corpus_bleu(Texts{"e c a d b"}, Texts{"a b c d e"}), 100 * std::pow(product, 0.25), 1e-9);
}

TEST(Rouge, TheOrderOfWordsMattersToTheSubsequenceOnly) {
  const Rouge found = rouge("a b c d", "d c b a");
  EXPECT_DOUBLE_EQ(found.rouge1, 1);
  EXPECT_DOUBLE_EQ(found.rouge2, 0);
  EXPECT_DOUBLE_EQ(found.rouge_l, 0.25);
}

TEST(Answers, TheBestReferenceCounts) {
  EXPECT_DOUBLE_EQ(answer_f1("red house", Texts{"blue", "red", "green"}), 2.0 / 3);
  EXPECT_TRUE(answer_exact_match("Red!", Texts{"blue", "the red"}));
  EXPECT_TRUE(contains_answer("It is red.", Texts{"blue", "is red"}));
}

TEST(Answers, AnAnswerIsFoundInWholeWordsNextToEachOther) {
  EXPECT_FALSE(contains_answer("a scarred wall", Texts{"red"}));
  EXPECT_FALSE(contains_answer("red old wall", Texts{"red wall"}));
  EXPECT_TRUE(contains_answer("red red wall", Texts{"Red, the Wall"}));
  EXPECT_FALSE(contains_answer("anything", Texts{"the"}));
}

TEST(Metrics, BrokenUtf8IsReadAsReplacementCharacters) {
  EXPECT_EQ(bleu_words("a\xE6\x9D. b"), (Words{"a\uFFFD", ".", "b"}));
  EXPECT_EQ(squad_words("B\xFF \xE6"), (Words{"b\uFFFD", "\uFFFD"}));
  EXPECT_DOUBLE_EQ(rouge("one two", "one\xC3two").rouge1, 1);
}

TEST(ExactPrefix, IsAShareOfTheReference) {
  const std::vector<TokenId> reference = {5, 6, 7, 8};
  const auto share = [&](const std::vector<TokenId>& said) {
    return exact_prefix_share(said, reference);
  };
  EXPECT_DOUBLE_EQ(share({5, 6, 7, 8}), 1);
  EXPECT_DOUBLE_EQ(share({5, 6, 7, 8, 9}), 1);
  EXPECT_DOUBLE_EQ(share({5, 6, 9, 8}), 0.5);
  EXPECT_DOUBLE_EQ(share({5}), 0.25);
  EXPECT_DOUBLE_EQ(share({6, 7, 8}), 0);
  EXPECT_DOUBLE_EQ(share({}), 0);
}

TEST(Metrics, NothingToScoreIsAnError) {
  const auto invalid = ErrorKind::kInvalidArgument;
  const Texts one = {"one"};
  const Texts two = {"one", "two"};
  expect_error(invalid, "1 hypotheses for 2 references", [&] { corpus_bleu(one, two); });
  expect_error(invalid, "nothing to score", [] { corpus_bleu({}, {}); });
  expect_error(invalid, "no reference", [] { answer_f1("one", {}); });
  expect_error(invalid, "no reference", [] { answer_exact_match("one", {}); });
  expect_error(invalid, "no reference", [] { contains_answer("one", {}); });
  expect_error(invalid, "reference is empty", [] { exact_prefix_share({}, {}); });
}

}  // namespace
}  // namespace precis
