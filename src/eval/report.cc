// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "eval/arms.h"
#include "io/in_quotes.h"
#include "io/line_plot.h"

namespace precis {
namespace {

using nlohmann::json;

constexpr const char* kShare = "recovered_share";

json finite(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json to_json(const Measured& measured) {
  return {{"value", finite(measured.value)},
          {"low", finite(measured.interval.low)},
          {"high", finite(measured.interval.high)}};
}

json to_json(const RatioResult& result) {
  json arms = json::object();
  for (const ArmResult& arm : result.arms) {
    for (const Metric& metric : arm.metrics) arms[arm.arm][metric.name] = to_json(metric.measured);
  }
  return {{"ratio", result.ratio ? json(*result.ratio) : json(nullptr)},
          {"tokens_per_row", finite(result.tokens_per_row)},
          {"memory_rows", to_json(result.memory_rows)},
          {"tokens_saved", to_json(result.tokens_saved)},
          {"kv_bytes_saved", to_json(result.kv_bytes_saved)},
          {"compress_ms", to_json(result.compress_ms)},
          {"arms", arms}};
}

json to_json(const TaskResult& result) {
  if (!result.note.empty()) return {{"note", result.note}};
  json ratios = json::array();
  for (const RatioResult& one : result.ratios) ratios.push_back(to_json(one));
  return {{"items", result.num_items}, {"skipped", result.num_skipped}, {"ratios", ratios}};
}

json settings_of(const Evaluation& evaluation) {
  const EvaluationOptions& options = evaluation.options;
  json settings = {{"older", options.older},
                   {"kept", options.kept},
                   {"scored", options.scored},
                   {"ratios", options.ratios},
                   {"limit", options.limit},
                   {"dtype", evaluation.dtype},
                   {"device", evaluation.device}};
  if (!evaluation.weights.empty()) settings["weights"] = evaluation.weights;
  if (!options.texts.empty()) settings["texts"] = options.texts.string();
  if (!options.questions.empty()) settings["questions"] = options.questions.string();
  if (evaluation.chat) settings["chat"] = *evaluation.chat;
  return settings;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::abs(value) < 1000 ? "%.4g" : "%.0f", value);
  return text;
}

std::string cell(const Measured& measured) {
  return number(measured.value) + " [" + number(measured.interval.low) + ", " +
         number(measured.interval.high) + "]";
}

void add_row(std::ostream& out, const std::vector<std::string>& cells) {
  out << "|";
  for (const std::string& one : cells) out << " " << one << " |";
  out << "\n";
}

void add_header(std::ostream& out, const std::vector<std::string>& names) {
  add_row(out, names);
  add_row(out, std::vector<std::string>(names.size(), "---"));
}

const Metric* find(const ArmResult& arm, const std::string& name) {
  const auto found = std::ranges::find(arm.metrics, name, &Metric::name);
  return found == arm.metrics.end() ? nullptr : &*found;
}

// Of all arms, in the order in which they first come.
std::vector<std::string> metrics_of(const TaskResult& task) {
  std::vector<std::string> names;
  for (const RatioResult& result : task.ratios) {
    for (const ArmResult& arm : result.arms) {
      for (const Metric& metric : arm.metrics)
        if (std::ranges::find(names, metric.name) == names.end()) names.push_back(metric.name);
    }
  }
  return names;
}

void add_costs(std::ostream& out, const TaskResult& task) {
  add_header(out,
             {"tokens per row", "memory rows", "tokens saved", "KV bytes saved", "compress ms"});
  for (const RatioResult& result : task.ratios) {
    add_row(out,
            {number(result.tokens_per_row),
             cell(result.memory_rows),
             cell(result.tokens_saved),
             cell(result.kv_bytes_saved),
             cell(result.compress_ms)});
  }
}

void add_arms(std::ostream& out, const TaskResult& task) {
  const std::vector<std::string> names = metrics_of(task);
  std::vector<std::string> header{"tokens per row", "arm"};
  header.insert(header.end(), names.begin(), names.end());
  add_header(out, header);
  for (const RatioResult& result : task.ratios) {
    for (const ArmResult& arm : result.arms) {
      std::vector<std::string> cells{number(result.tokens_per_row), arm.arm};
      for (const std::string& name : names) {
        const Metric* metric = find(arm, name);
        cells.push_back(metric != nullptr ? cell(metric->measured) : "");
      }
      add_row(out, cells);
    }
  }
}

void add_task(std::ostream& out, const TaskResult& task) {
  out << "\n## " << name_of(task.task) << "\n\n";
  if (!task.note.empty()) {
    out << "Left out: " << task.note << "\n";
    return;
  }
  out << task.num_items << " items; " << task.num_skipped << " skipped as "
      << (task.task == EvaluationTask::kQuestions ? "too long" : "too short") << ".\n\n";
  add_costs(out, task);
  out << "\n";
  add_arms(out, task);
}

const Metric* share_of(const RatioResult& result, Arm arm) {
  const auto found = std::ranges::find(result.arms, name_of(arm), &ArmResult::arm);
  return found == result.arms.end() ? nullptr : find(*found, kShare);
}

// The last folder of a path, whether or not a slash follows it.
std::string last_part(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

// What tells an evaluation from its neighbours: its method, or where that is shared the
// compressor's folder, or where that is shared too all of its path.
std::string label_of(const Evaluation& evaluation, std::span<const Evaluation> all) {
  if (std::ranges::count(all, evaluation.method, &Evaluation::method) == 1)
    return evaluation.method;
  const std::string folder = last_part(evaluation.compressor);
  const auto same = std::ranges::count(
      all, folder, [](const Evaluation& other) { return last_part(other.compressor); });
  return evaluation.method + " (" + (same == 1 ? folder : evaluation.compressor) + ")";
}

std::string share_cell(const RatioResult& result, Arm arm) {
  const Metric* share = share_of(result, arm);
  return share != nullptr ? cell(share->measured) : "";
}

bool has_share(const Evaluation& evaluation) {
  return std::ranges::any_of(evaluation.tasks, [](const TaskResult& task) {
    return std::ranges::any_of(task.ratios, [](const RatioResult& result) {
      return share_of(result, Arm::kMemory) != nullptr;
    });
  });
}

void add_shares(std::ostream& out, std::span<const Evaluation> evaluations) {
  if (std::ranges::none_of(evaluations, has_share)) return;
  out << "\n## Recovered shares\n\n";
  add_header(out,
             {"task",
              "compressor",
              "items",
              "tokens per row",
              "memory",
              "verbatim",
              "another text's memory",
              "compress ms"});
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& task : evaluation.tasks) {
      for (const RatioResult& result : task.ratios) {
        if (share_of(result, Arm::kMemory) == nullptr) continue;
        add_row(out,
                {name_of(task.task),
                 label_of(evaluation, evaluations),
                 std::to_string(task.num_items),
                 number(result.tokens_per_row),
                 share_cell(result, Arm::kMemory),
                 share_cell(result, Arm::kVerbatim),
                 share_cell(result, Arm::kOther),
                 cell(result.compress_ms)});
      }
    }
  }
}

void add_evaluation(std::ostream& out, const Evaluation& evaluation) {
  const EvaluationOptions& options = evaluation.options;
  out << "# Evaluation of " << evaluation.method << "\n\n"
      << "Model " << in_quotes(evaluation.model) << ", compressor "
      << in_quotes(evaluation.compressor) << ". Texts are cut into " << options.older
      << " older tokens, " << options.kept << " kept and " << options.scored
      << " scored ones. In brackets: 95 % bootstrap intervals over items; times are medians.\n";
  for (const TaskResult& task : evaluation.tasks) add_task(out, task);
}

void add_points(PlotLine& line, const TaskResult& task, Arm arm) {
  for (const RatioResult& result : task.ratios) {
    const Metric* share = share_of(result, arm);
    if (share == nullptr) continue;
    const Measured& measured = share->measured;
    line.points.push_back({result.tokens_per_row,
                           measured.value,
                           std::pair(measured.interval.low, measured.interval.high)});
  }
}

// Whether all asked the same of the same items, so that arms without memories are the same arms:
// which questions fit, and whether they are put in a chat, is the compressor's.
bool measured_alike(EvaluationTask task, std::span<const Evaluation> evaluations) {
  std::set<std::pair<int64_t, bool>> ways;
  for (const Evaluation& evaluation : evaluations) {
    const bool in_chat = task >= EvaluationTask::kSummaries && evaluation.chat.value_or(false);
    for (const TaskResult& result : evaluation.tasks)
      if (result.task == task && result.note.empty()) ways.emplace(result.num_items, in_chat);
  }
  return ways.size() <= 1;
}

// By x, each x once: what several evaluations measured alike is drawn once.
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

json to_json(const Evaluation& evaluation) {
  json tasks = json::object();
  for (const TaskResult& task : evaluation.tasks) tasks[name_of(task.task)] = to_json(task);
  return {{"model", evaluation.model},
          {"model_fingerprint", evaluation.model_fingerprint},
          {"compressor", evaluation.compressor},
          {"method", evaluation.method},
          {"compressor_fingerprint", evaluation.compressor_fingerprint},
          {"settings", settings_of(evaluation)},
          {"tasks", tasks}};
}

std::string to_markdown(std::span<const Evaluation> evaluations) {
  std::ostringstream out;
  if (evaluations.size() > 1) {
    out << "# Evaluation of " << evaluations.size() << " compressors\n";
    add_shares(out, evaluations);
  }
  for (const Evaluation& evaluation : evaluations) {
    if (evaluations.size() > 1) out << "\n";
    add_evaluation(out, evaluation);
  }
  return out.str();
}

std::string recovered_share_plot(std::span<const Evaluation> evaluations) {
  LinePlot plot{"What a memory recovers of its text",
                "text tokens per memory row",
                "recovered share of the full text's gain",
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
