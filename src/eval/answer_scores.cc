// SPDX-License-Identifier: Apache-2.0
#include "eval/answer_scores.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "eval/metrics.h"

namespace precis {
namespace {

constexpr const char* kThirds[] = {
    "contained_first_third", "contained_middle_third", "contained_last_third"};

int third_of(const Question& needle) { return std::min(static_cast<int>(3 * needle.depth), 2); }

}  // namespace

AnswerScores answer_scores(const ArmAnswers& answers, std::span<const Question> questions) {
  AnswerScores scores;
  for (size_t i = 0; i < questions.size(); ++i) {
    const std::string& answer = answers.texts[i];
    const std::vector<std::string>& references = questions[i].answers;
    scores.contained.push_back(contains_answer(answer, references) ? 1 : 0);
    scores.f1.push_back(answer_f1(answer, references));
    scores.exact.push_back(answer_exact_match(answer, references) ? 1 : 0);
  }
  return scores;
}

void add_answer_metrics(const AnswerScoresByArm& scores,
                        Arm arm,
                        Clusters clusters,
                        std::vector<Metric>& metrics) {
  const AnswerScores &own = scores.at(arm), &full = scores.at(Arm::kFull);
  add_metric("contained", mean_of(own.contained, clusters), metrics);
  add_metric("f1", mean_of(own.f1, clusters), metrics);
  add_metric("exact_match", mean_of(own.exact, clusters), metrics);
  if (arm == Arm::kFull) return;
  add_metric("contained_share", ratio_of_sums(own.contained, full.contained, clusters), metrics);
  add_metric("f1_share", ratio_of_sums(own.f1, full.f1, clusters), metrics);
  if (arm != Arm::kMemory) return;
  const auto over = [&](std::vector<double> AnswerScores::*score, Arm other) {
    return mean_difference(own.*score, scores.at(other).*score, clusters);
  };
  add_metric("contained_over_verbatim", over(&AnswerScores::contained, Arm::kVerbatim), metrics);
  add_metric("contained_over_other", over(&AnswerScores::contained, Arm::kOther), metrics);
  add_metric("f1_over_verbatim", over(&AnswerScores::f1, Arm::kVerbatim), metrics);
  add_metric("f1_over_other", over(&AnswerScores::f1, Arm::kOther), metrics);
}

void add_depth_metrics(const AnswerScores& scores,
                       std::span<const Question> needles,
                       std::vector<Metric>& metrics) {
  for (int third = 0; third < 3; ++third) {
    std::vector<double> contained;
    std::vector<int64_t> clusters;
    for (size_t i = 0; i < needles.size(); ++i) {
      if (third_of(needles[i]) != third) continue;
      contained.push_back(scores.contained[i]);
      clusters.push_back(needles[i].context);
    }
    if (!contained.empty()) add_metric(kThirds[third], mean_of(contained, clusters), metrics);
  }
}

}  // namespace precis
