// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <vector>

#include "eval/arms.h"
#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"

namespace precis {

// Scores of answers, one value for each question.
struct AnswerScores {
  std::vector<double> contained, f1, exact;
};
using AnswerScoresByArm = std::map<Arm, AnswerScores>;

AnswerScores answer_scores(const ArmAnswers& answers, std::span<const Question> questions);

// Appends the metrics of an arm's answers: "contained", "f1", "exact_match"; but of the full text
// also "contained_share" and "f1_share", ratios of sums to the full text's; and of memory
// "contained_over_verbatim", "contained_over_other", "f1_over_verbatim" and "f1_over_other", means
// of paired differences. clusters: contexts_of() the questions. REQUIRES: all arms.
void add_answer_metrics(const AnswerScoresByArm& scores,
                        Arm arm,
                        Clusters clusters,
                        std::vector<Metric>& metrics);

// Appends "contained_first_third", "contained_middle_third" and "contained_last_third": "contained"
// of the needles in each third of their contexts that holds any.
void add_depth_metrics(const AnswerScores& scores,
                       std::span<const Question> needles,
                       std::vector<Metric>& metrics);

}  // namespace precis
