// SPDX-License-Identifier: Apache-2.0
#include "eval/share_plot.h"

#include <algorithm>
#include <set>
#include <utility>

#include "eval/arms.h"
#include "plot/line_plot.h"

namespace precis {
namespace {

void add_points(PlotLine& line, const TaskResult& task, Arm arm) {
  for (const RatioResult& result : task.ratios) {
    const Measured* share = find_metric(result, name_of(arm), "recovered_share");
    if (share == nullptr) continue;
    line.points.push_back({result.tokens_per_row,
                           share->value,
                           std::pair(share->interval.low, share->interval.high)});
  }
}

// Whether the arms without memories are the same for all evaluations. Which questions fit, and
// whether they are in a chat, depends on the compressor.
bool measured_alike(EvaluationTask task, std::span<const Evaluation> evaluations) {
  std::set<std::pair<int64_t, bool>> settings;
  for (const Evaluation& evaluation : evaluations) {
    const bool in_chat = task >= EvaluationTask::kSummaries && evaluation.chat.value_or(false);
    for (const TaskResult& result : evaluation.tasks)
      if (result.task == task && result.note.empty()) settings.emplace(result.num_items, in_chat);
  }
  return settings.size() <= 1;
}

// Sorts by x and keeps one point for each x: several evaluations have the same verbatim arm.
void sort_points(PlotLine& line) {
  std::ranges::stable_sort(line.points, {}, &PlotPoint::x);
  const auto same = std::ranges::unique(line.points, {}, &PlotPoint::x);
  line.points.erase(same.begin(), same.end());
}

PlotLine share_line(const std::string& name,
                    EvaluationTask task,
                    std::span<const Evaluation> evaluations,
                    Arm arm) {
  PlotLine line{name, {}, false, true};
  if (task != EvaluationTask::kContinue) line.name += ", " + name_of(task);
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& result : evaluation.tasks)
      if (result.task == task) add_points(line, result, arm);
  }
  sort_points(line);
  return line;
}

}  // namespace

std::string recovered_share_plot(std::span<const Evaluation> evaluations) {
  LinePlot plot{"Recovered share",
                "text tokens per memory token",
                "(none - arm) / (none - full) of the losses",
                {},
                /*log_x=*/true};
  const auto add = [&](PlotLine line) {
    if (!line.points.empty()) plot.lines.push_back(std::move(line));
  };
  const bool several = evaluations.size() > 1;
  for (const EvaluationTask task : {EvaluationTask::kContinue,
                                    EvaluationTask::kReconstruct,
                                    EvaluationTask::kSummaries,
                                    EvaluationTask::kQuestions}) {
    const bool alike = measured_alike(task, evaluations);
    if (alike) add(share_line(name_of(Arm::kVerbatim), task, evaluations, Arm::kVerbatim));
    for (size_t i = 0; i < evaluations.size(); ++i) {
      const auto own = evaluations.subspan(i, 1);
      const std::string label =
          several ? label_of(evaluations[i], evaluations) : name_of(Arm::kMemory);
      add(share_line(label, task, own, Arm::kMemory));
      if (!alike)
        add(share_line(name_of(Arm::kVerbatim) + " beside " + label, task, own, Arm::kVerbatim));
    }
  }
  return plot.lines.empty() ? "" : to_svg(plot);
}

}  // namespace precis
