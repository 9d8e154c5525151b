// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation.h"

#include <algorithm>

#include "base/check.h"

namespace precis {
namespace {

// The last folder of a path, whether or not a slash follows it.
std::string last_folder(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace

std::string name_of(EvaluationTask task) {
  switch (task) {
    case EvaluationTask::kContinue:
      return "continue";
    case EvaluationTask::kReconstruct:
      return "reconstruct";
    case EvaluationTask::kSummaries:
      return "summaries";
    case EvaluationTask::kQuestions:
      return "questions";
    case EvaluationTask::kNeedles:
      return "needles";
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

bool asks(EvaluationTask task) { return task >= EvaluationTask::kQuestions; }

std::string title_of(const TaskResult& result) {
  if (result.needle_tokens == 0) return name_of(result.task);
  return concat(name_of(result.task), ", ", result.needle_tokens, " tokens");
}

const Measured* find_metric(const RatioResult& result,
                            const std::string& arm,
                            const std::string& metric) {
  const auto found = std::ranges::find(result.arms, arm, &ArmResult::arm);
  if (found == result.arms.end()) return nullptr;
  const auto named = std::ranges::find(found->metrics, metric, &Metric::name);
  return named == found->metrics.end() ? nullptr : &named->measured;
}

std::string label_of(const Evaluation& evaluation, std::span<const Evaluation> all) {
  if (std::ranges::count(all, evaluation.method, &Evaluation::method) == 1)
    return evaluation.method;
  const std::string folder = last_folder(evaluation.compressor);
  const auto same = std::ranges::count(
      all, folder, [](const Evaluation& other) { return last_folder(other.compressor); });
  return evaluation.method + " (" + (same == 1 ? folder : evaluation.compressor) + ")";
}

}  // namespace precis
