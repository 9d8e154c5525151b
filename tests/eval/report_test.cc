// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace precis {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

Measured about(double value) { return {value, {value - 0.25, value + 0.25}}; }

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
  const std::string text = to_markdown(std::vector{some_evaluation()});
  EXPECT_THAT(text, HasSubstr("10 items; 3 skipped as too short."));
  EXPECT_THAT(text, HasSubstr("| tokens per row | arm | nll | recovered_share |"));
  EXPECT_THAT(text, HasSubstr("| 2 | none | 3 [2.75, 3.25] |  |"));
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

TEST(Report, SeveralCompressorsBeginWithATableOfShares) {
  const std::string text = to_markdown(several_evaluations());
  EXPECT_THAT(text, HasSubstr("# Evaluation of 3 compressors\n\n## Recovered shares"));
  EXPECT_THAT(text,
              HasSubstr("| continue | icae | 10 | 4 | 0.5 [0.25, 0.75] | 0.25 [0, 0.5] |  | 12.5 "
                        "[12.25, 12.75] |"));
  EXPECT_THAT(text, HasSubstr("| selfcp (another) | 10 | 2 |"));
  EXPECT_THAT(text, HasSubstr("# Evaluation of icae\n"));
}

// Which questions fit, and how they are put, is the compressor's: verbatim text has a line for
// each.
TEST(Report, VerbatimTextThatWasNotMeasuredAlikeHasLinesOfItsOwn) {
  std::vector<Evaluation> several = several_evaluations();
  several[1].tasks[0].num_items = 9;
  const std::string plot = recovered_share_plot(several);
  EXPECT_THAT(plot, HasSubstr(">verbatim beside icae<"));
  EXPECT_THAT(plot, Not(HasSubstr(">verbatim<")));
}

TEST(Report, WithoutSharesThereIsNoTableOfThem) {
  std::vector<Evaluation> several = several_evaluations();
  for (Evaluation& evaluation : several) evaluation.tasks.erase(evaluation.tasks.begin());
  EXPECT_THAT(to_markdown(several), Not(HasSubstr("Recovered shares")));
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

}  // namespace
}  // namespace precis
