// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>
#include <vector>

#include "eval/share_plot.h"
#include "eval/summary.h"
#include "eval/verdict.h"

namespace precis {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Measured about(double value) { return {value, {value - 0.25, value + 0.25}}; }

// Tables are padded.
std::string squeezed(const std::string& text) {
  return std::regex_replace(text, std::regex(" +"), " ");
}

RatioResult result_at(double ratio) {
  RatioResult result;
  result.ratio = result.tokens_per_row = ratio;
  result.memory_rows = about(256 / ratio);
  result.tokens_saved = about(256 - 256 / ratio);
  result.kv_bytes_saved = {1234567, {1234567, 1234567}};
  result.compress_ms = about(12.5);
  result.arms = {{"none", {{"nll", about(3)}}},
                 {"verbatim", {{"nll", about(2.75)}, {"recovered_share", about(0.25)}}},
                 {"memory", {{"nll", about(2.5)}, {"recovered_share", about(0.5)}}}};
  return result;
}

Evaluation some_evaluation() {
  Evaluation evaluation;
  evaluation.model = "a model";
  evaluation.method = "selfcp";
  evaluation.options.texts = "texts.jsonl";
  evaluation.options.ratios = {2, 4};
  evaluation.tasks = {{EvaluationTask::kContinue, 10, 3, "", {result_at(2), result_at(4)}},
                      {EvaluationTask::kReconstruct, 0, 0, "it cannot", {}}};
  return evaluation;
}

TEST(Report, JsonHasEveryValueWithItsInterval) {
  const json report = to_json(some_evaluation());
  const json& task = report.at("tasks").at("continue");
  EXPECT_EQ(task.at("items"), 10);
  EXPECT_EQ(task.at("skipped"), 3);
  EXPECT_EQ(task.at("ratios").at(1).at("arms").at("memory").at("recovered_share"),
            json::parse(R"({"value": 0.5, "low": 0.25, "high": 0.75})"));
  EXPECT_EQ(task.at("ratios").at(1).at("memory_rows").at("value"), 64);
  EXPECT_EQ(task.at("ratios").at(1).at("verdict"),
            "recovers 50 % of what the full text gives; keeping as many last tokens gives 25 %.");
  EXPECT_EQ(report.at("tasks").at("reconstruct"), json({{"note", "it cannot"}}));
  EXPECT_EQ(report.at("settings").at("ratios"), json({2, 4}));
  EXPECT_EQ(report.at("settings").at("texts"), "texts.jsonl");
  EXPECT_FALSE(report.at("settings").contains("questions"));
  EXPECT_EQ(report.at("model"), "a model");
}

TEST(Report, WhatIsNotFiniteIsNull) {
  Evaluation evaluation = some_evaluation();
  evaluation.tasks[0].ratios[0].compress_ms.value = std::numeric_limits<double>::infinity();
  const json report = to_json(evaluation);
  EXPECT_TRUE(report["tasks"]["continue"]["ratios"][0]["compress_ms"]["value"].is_null());
  EXPECT_EQ(json::parse(report.dump()), report);
}

TEST(Report, MarkdownHasOneRowForEachArmAndRatio) {
  const std::string text = squeezed(to_markdown(std::vector{some_evaluation()}));
  EXPECT_THAT(text, HasSubstr("# Evaluation of selfcp\n\n## continue\n"));
  EXPECT_THAT(text, HasSubstr("## Details of selfcp\n"));
  EXPECT_THAT(text, HasSubstr("10 texts; 3 skipped as too short."));
  EXPECT_THAT(text, HasSubstr("| ratio | arm | nll | recovered_share |"));
  EXPECT_THAT(text, HasSubstr("| 2 | none | 3 [2.75, 3.25] | |"));
  EXPECT_THAT(text, HasSubstr("| 4 | memory | 2.5 [2.25, 2.75] | 0.5 [0.25, 0.75] |"));
  EXPECT_THAT(text, HasSubstr("1234567 [1234567, 1234567]"));
  EXPECT_THAT(text, HasSubstr("Left out: it cannot"));
}

TEST(Report, ThePlotHasMemoryAndVerbatimLines) {
  Evaluation evaluation = some_evaluation();
  const std::string plot = recovered_share_plot(std::vector{evaluation});
  EXPECT_THAT(plot, HasSubstr("<svg"));
  EXPECT_THAT(plot, HasSubstr(">memory<"));
  EXPECT_THAT(plot, HasSubstr(">verbatim<"));
  EXPECT_THAT(plot, Not(HasSubstr("questions")));
  evaluation.tasks.erase(evaluation.tasks.begin());
  EXPECT_EQ(recovered_share_plot(std::vector{evaluation}), "");
}

std::vector<Evaluation> several_evaluations() {
  std::vector<Evaluation> several(3, some_evaluation());
  several[1].method = "icae";
  several[1].tasks[0].ratios = {result_at(4)};
  several[0].compressor = "some/where/";
  several[2].compressor = "some/another";
  return several;
}

TEST(Report, SeveralCompressorsStandInOneTable) {
  const std::string text = squeezed(to_markdown(several_evaluations()));
  EXPECT_THAT(text, HasSubstr("# Evaluation of 3 compressors\n\n## continue\n"));
  EXPECT_THAT(text, HasSubstr("| icae | 10 | 4 | 50 % [25, 75] | 25 % [0, 50] | | | 12.5 |"));
  EXPECT_THAT(text, HasSubstr("| selfcp (another) | 10 | 2 |"));
  EXPECT_THAT(text, HasSubstr("\n- icae at 4x: recovers 50 % of what the full text gives;"));
  EXPECT_THAT(text, HasSubstr("\n- icae is left out: it cannot\n"));
  EXPECT_THAT(text, HasSubstr("## Details of icae\n"));
}

// Questions and their prompts depend on the compressor, and with them the verbatim arm.
TEST(Report, VerbatimArmsThatDifferHaveLinesOfTheirOwn) {
  std::vector<Evaluation> several = several_evaluations();
  several[1].tasks[0].num_items = 9;
  const std::string plot = recovered_share_plot(several);
  EXPECT_THAT(plot, HasSubstr(">verbatim beside icae<"));
  EXPECT_THAT(plot, Not(HasSubstr(">verbatim<")));
}

TEST(Report, SeveralCompressorsHaveALineEachAndVerbatimTextOne) {
  const std::string plot = recovered_share_plot(several_evaluations());
  const auto count = [&](const std::string& text) {
    size_t found = 0;
    for (size_t at = plot.find(text); at != std::string::npos; at = plot.find(text, at + 1))
      ++found;
    return found;
  };
  EXPECT_EQ(count(">icae<"), 1u);
  EXPECT_EQ(count(">selfcp (where)<"), 1u);
  EXPECT_EQ(count(">selfcp (another)<"), 1u);
  EXPECT_EQ(count(">verbatim<"), 1u);
  EXPECT_EQ(count(">memory<"), 0u);
}

TEST(Summary, ColumnsAreAsWideAsTheirWidestCell) {
  const std::string text = summarise(std::vector{some_evaluation()});
  EXPECT_THAT(text, HasSubstr("| compressor | texts | ratio | recovered by memory |"));
  EXPECT_THAT(text, HasSubstr("| selfcp     | 10    | 2     | 50 % [25, 75]       |"));
  EXPECT_THAT(text, HasSubstr("| ---------- | ----- | ----- | ------------------- |"));
}

Evaluation questions_evaluation() {
  Evaluation evaluation = some_evaluation();
  RatioResult result = result_at(4);
  result.ratio = std::nullopt;
  const auto add = [](ArmResult& arm, const std::vector<std::pair<const char*, double>>& metrics) {
    for (const auto& [name, value] : metrics) arm.metrics.push_back({name, about(value)});
  };
  add(result.arms[0], {{"contained_share", 0.06}, {"f1_share", 0.05}});
  add(result.arms[1],
      {{"contained", 0.25}, {"contained_share", 0.5}, {"f1", 0.2}, {"f1_share", 0.4}});
  add(result.arms[2],
      {{"contained", 0.42},
       {"contained_share", 0.84},
       {"f1", 0.45},
       {"f1_share", 0.9},
       {"nll_below_verbatim", 0.1},
       {"f1_over_verbatim", 0.3}});
  result.arms.push_back({"full", {{"contained", about(0.5)}, {"f1", about(0.5)}}});
  evaluation.tasks = {{EvaluationTask::kQuestions, 8, 0, "", {result}}};
  return evaluation;
}

TEST(Summary, QuestionsHaveATableOfAnswers) {
  const std::string text = squeezed(summarise(std::vector{questions_evaluation()}));
  EXPECT_THAT(
      text,
      HasSubstr("| selfcp | 4 | contained | 50 % [25, 75] | 42 % [17, 67] | 84 % [59, 109] | "
                "25 % [0, 50] | 50 % [25, 75] | |"));
  EXPECT_THAT(text,
              HasSubstr("| selfcp | 4 | F1 | 50 % [25, 75] | 45 % [20, 70] | 90 % [65, 115] |"));
  EXPECT_THAT(text, HasSubstr("\n- selfcp at 4x: recovers 50 %"));
}

TEST(Summary, QuestionsAreCountedBesideTheirTexts) {
  Evaluation evaluation = questions_evaluation();
  evaluation.tasks[0].num_contexts = 5;
  const std::string text = squeezed(to_markdown(std::vector{evaluation}));
  EXPECT_THAT(text, HasSubstr("| compressor | questions | about texts | ratio |"));
  EXPECT_THAT(text, HasSubstr("\n| selfcp | 8 | 5 | 4 |"));
  EXPECT_THAT(text, HasSubstr("8 questions about 5 texts; 0 skipped as too long."));
  EXPECT_EQ(to_json(evaluation).at("tasks").at("questions").at("contexts"), 5);
}

// The likelihood of the answer stands beside its share.
TEST(Summary, QuestionsHaveLosses) {
  const std::string text = squeezed(summarise(std::vector{questions_evaluation()}));
  EXPECT_THAT(text, HasSubstr("| loss without the text | with the memory | with the full text |"));
  EXPECT_THAT(text, HasSubstr("| 3 [2.75, 3.25] | 2.5 [2.25, 2.75] | |"));
}

// Two lengths; all facts are found in the full text, and a half by the memory.
Evaluation needles_evaluation() {
  Evaluation evaluation = some_evaluation();
  evaluation.options.needles.texts = "texts.jsonl";
  evaluation.tasks.clear();
  for (const int64_t tokens : {512, 4096}) {
    RatioResult result = result_at(4);
    result.arms = {{"none", {{"contained", about(0)}, {"contained_share", about(0)}}},
                   {"verbatim", {{"contained", about(0.25)}, {"contained_share", about(0.25)}}},
                   {"memory",
                    {{"contained", about(0.5)},
                     {"contained_share", about(0.5)},
                     {"contained_over_verbatim", {0.25, {0.1, 0.4}}},
                     {"contained_first_third", about(0.75)},
                     {"contained_last_third", about(0.25)}}},
                   {"full", {{"contained", about(1)}}}};
    TaskResult& task = evaluation.tasks.emplace_back();
    task.task = EvaluationTask::kNeedles;
    task.num_items = 30;
    task.num_contexts = 10;
    task.needle_tokens = tokens;
    task.ratios = {result};
  }
  return evaluation;
}

TEST(Summary, NeedlesAreListedByLengthAndDepth) {
  const std::string text = squeezed(summarise(std::vector{needles_evaluation()}));
  EXPECT_THAT(
      text, HasSubstr("| compressor | questions | about texts | of tokens | ratio | full text |"));
  EXPECT_THAT(text,
              HasSubstr("| selfcp | 30 | 10 | 4096 | 4 | 100 % [75, 125] | 50 % [25, 75] | "
                        "50 % [25, 75] | 25 % [0, 50] | | 0 % [-25, 25] | 12.5 |"));
  EXPECT_THAT(text, HasSubstr("| selfcp | 512 | 4 | memory | 75 % [50, 100] | | 25 % [0, 50] |"));
  EXPECT_THAT(text, HasSubstr("\n- selfcp at 4x, 512 tokens: finds 50 %"));
}

TEST(Report, NeedlesHaveATaskForEachLength) {
  const json report = to_json(needles_evaluation());
  const json& tasks = report.at("tasks");
  EXPECT_EQ(tasks.size(), 2u);
  EXPECT_EQ(tasks.at("needles_512").at("tokens"), 512);
  EXPECT_EQ(tasks.at("needles_4096").at("items"), 30);
  EXPECT_EQ(tasks.at("needles_4096").at("contexts"), 10);
  EXPECT_EQ(
      report.at("settings").at("needles"),
      json({{"texts", "texts.jsonl"}, {"tokens", {512, 4096}}, {"per_text", 3}, {"seed", 1}}));
  EXPECT_THAT(to_markdown(std::vector{needles_evaluation()}),
              HasSubstr("### needles, 4096 tokens\n\n30 questions about 10 texts;"));
}

TEST(Report, EveryTableHasALineThatSaysWhatItShows) {
  for (const Evaluation& evaluation :
       {some_evaluation(), questions_evaluation(), needles_evaluation()}) {
    const std::string text = to_markdown(std::vector{evaluation});
    const std::regex below("\\|\n\n(?!The table shows )");
    EXPECT_FALSE(std::regex_search(text, below)) << text;
  }
}

TEST(Verdict, OfNeedlesComparesWhatIsFound) {
  const RatioResult result = needles_evaluation().tasks[0].ratios[0];
  EXPECT_EQ(verdict(EvaluationTask::kNeedles, result),
            "finds 50 % as many facts as the full text (as many last tokens 25 %, without the text "
            "0 %). It is better than truncating.");
  EXPECT_EQ(verdict(EvaluationTask::kNeedles, result_at(4)),
            "the full text finds no fact here: there is nothing to compare with.");
}

TEST(Verdict, OfQuestionsComparesAnswers) {
  const RatioResult result = questions_evaluation().tasks[0].ratios[0];
  EXPECT_EQ(
      verdict(EvaluationTask::kQuestions, result),
      "recovers 50 % of what the full text gives; keeping as many last tokens gives 25 %. By "
      "likelihood it is no better than truncating. Its answers contain the correct one 84 % as "
      "often as the full text's (as many last tokens 50 %, without the text 6 %). Their F1 is "
      "90 % of the full text's (as many last tokens 40 %, without the text 5 %). By F1 it is "
      "better than truncating.");
}

TEST(Verdict, SaysWhereTheFullTextAnswersNoQuestion) {
  EXPECT_EQ(verdict(EvaluationTask::kQuestions, result_at(4)),
            "recovers 50 % of what the full text gives; keeping as many last tokens gives 25 %. No "
            "answer from the full text contains the correct one.");
}

// The memory's arm with a difference to truncating, and one to another text's memory.
RatioResult compared_by(Measured over_verbatim, Measured over_other) {
  RatioResult result;
  result.arms = {{"verbatim", {{"recovered_share", about(0.59)}}},
                 {"memory",
                  {{"recovered_share", about(0.88)},
                   {"specific_share", about(0.82)},
                   {"nll_below_verbatim", over_verbatim},
                   {"nll_below_other", over_other}}},
                 {"other", {{"recovered_share", about(-0.12)}}}};
  return result;
}

constexpr Measured kAbove{0.2, {0.1, 0.3}}, kAround{0.2, {-0.1, 0.5}}, kBelow{-0.2, {-0.3, -0.1}};

TEST(Verdict, SaysWhatIsRecoveredAndWhatIsSpecific) {
  EXPECT_EQ(verdict(EvaluationTask::kContinue, compared_by(kAbove, kAbove)),
            "recovers 88 % of what the full text gives; keeping as many last tokens gives 59 %, "
            "another text's memory -12 %. Specific to the text: 82 %. It is better than "
            "truncating.");
}

TEST(Verdict, JudgesByTheIntervalOfTheDifference) {
  const auto said = [](Measured over_verbatim, Measured over_other) {
    return verdict(EvaluationTask::kContinue, compared_by(over_verbatim, over_other));
  };
  EXPECT_THAT(said(kBelow, kAbove), HasSubstr(" It is worse than truncating."));
  EXPECT_THAT(said(kAround, kAbove), HasSubstr(" It is no better than truncating."));
  EXPECT_THAT(said(kAbove, kAbove), Not(HasSubstr("than another text's memory")));
  EXPECT_THAT(said(kAbove, kAround), HasSubstr(" It is no better than another text's memory."));
  EXPECT_THAT(said(kAbove, kBelow), HasSubstr(" It is worse than another text's memory."));
}

TEST(Verdict, SaysWhereThereIsNothingToRecover) {
  RatioResult result;
  result.arms = {{"memory", {{"nll", about(2)}, {"nll_below_verbatim", kBelow}}}};
  EXPECT_EQ(
      verdict(EvaluationTask::kContinue, result),
      "the full text is no better than no text here: there is nothing to recover. It is worse "
      "than truncating.");
}

TEST(Verdict, OfSummariesAndReconstructions) {
  RatioResult result;
  result.arms = {{"none", {{"rouge_l", about(0.08)}}},
                 {"verbatim", {{"rouge_l", about(0.25)}}},
                 {"memory",
                  {{"rouge_l", about(0.21)},
                   {"rouge_l_over_verbatim", kBelow},
                   {"bleu", about(45)},
                   {"exact_prefix_share", about(0.3)}}}};
  EXPECT_EQ(verdict(EvaluationTask::kSummaries, result),
            "has a ROUGE-L of 0.21; keeping as many last tokens gives 0.25, no text 0.08. It is "
            "worse than truncating.");
  EXPECT_EQ(verdict(EvaluationTask::kReconstruct, result),
            "reconstructs texts with a BLEU of 45, 30 % of the tokens before the first error.");
}

}  // namespace
}  // namespace precis
