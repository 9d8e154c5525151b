// SPDX-License-Identifier: Apache-2.0
#include "eval/report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "eval/format_measured.h"
#include "eval/markdown_table.h"
#include "eval/summary.h"
#include "eval/table_notes.h"
#include "eval/verdict.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using nlohmann::json;

json finite(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

json to_json(const Measured& measured) {
  return {{"value", finite(measured.value)},
          {"low", finite(measured.interval.low)},
          {"high", finite(measured.interval.high)}};
}

json to_json(EvaluationTask task, const RatioResult& result) {
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
          {"arms", arms},
          {"verdict", verdict(task, result)}};
}

json to_json(const TaskResult& result) {
  if (!result.note.empty()) return {{"note", result.note}};
  json ratios = json::array();
  for (const RatioResult& one : result.ratios) ratios.push_back(to_json(result.task, one));
  json task = {{"items", result.num_items}, {"skipped", result.num_skipped}, {"ratios", ratios}};
  if (asks(result.task)) task["contexts"] = result.num_contexts;
  if (result.needle_tokens > 0) task["tokens"] = result.needle_tokens;
  return task;
}

// Needles have a key for each length.
std::string key_of(const TaskResult& result) {
  if (result.needle_tokens == 0) return name_of(result.task);
  return concat(name_of(result.task), "_", result.needle_tokens);
}

json to_json(const NeedleOptions& needles) {
  return {{"texts", needles.texts.string()},
          {"tokens", needles.tokens},
          {"per_text", needles.per_text},
          {"seed", needles.seed}};
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
  if (options.positions)
    settings["positions"] = *options.positions == MemoryPositions::kText ? "text" : "rows";
  if (options.refine_seconds > 0) settings["refine_seconds"] = options.refine_seconds;
  if (!evaluation.weights.empty()) settings["weights"] = evaluation.weights;
  if (!options.texts.empty()) settings["texts"] = options.texts.string();
  if (!options.questions.empty()) settings["questions"] = options.questions.string();
  if (!options.needles.texts.empty()) settings["needles"] = to_json(options.needles);
  if (evaluation.chat) settings["chat"] = *evaluation.chat;
  return settings;
}

// Metrics of all arms, in order of first appearance.
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
  MarkdownTable table({"ratio", "memory tokens", "tokens saved", "KV bytes saved", "compress ms"});
  for (const RatioResult& result : task.ratios) {
    table.add({number(result.tokens_per_row),
               with_interval(result.memory_rows),
               with_interval(result.tokens_saved),
               with_interval(result.kv_bytes_saved),
               with_interval(result.compress_ms)});
  }
  table.write(out);
  out << "\n" << kCostsNote << "\n";
}

void add_arms(std::ostream& out, const TaskResult& task) {
  const std::vector<std::string> names = metrics_of(task);
  std::vector<std::string> header{"ratio", "arm"};
  header.insert(header.end(), names.begin(), names.end());
  MarkdownTable table(header);
  for (const RatioResult& result : task.ratios) {
    for (const ArmResult& arm : result.arms) {
      std::vector<std::string> cells{number(result.tokens_per_row), arm.arm};
      for (const std::string& name : names) {
        const Measured* measured = find_metric(result, arm.arm, name);
        cells.push_back(measured != nullptr ? with_interval(*measured) : "");
      }
      table.add(std::move(cells));
    }
  }
  table.write(out);
  out << "\n" << kArmsNote << "\n";
}

void add_counts(std::ostream& out, const TaskResult& task) {
  out << task.num_items << (asks(task.task) ? " questions about " : " texts");
  if (asks(task.task)) out << task.num_contexts << " texts";
  out << "; " << task.num_skipped << " skipped as " << (asks(task.task) ? "too long" : "too short")
      << ".\n\n";
}

void add_task(std::ostream& out, const TaskResult& task) {
  out << "\n### " << title_of(task) << "\n\n";
  if (!task.note.empty()) {
    out << "Left out: " << task.note << "\n";
    return;
  }
  add_counts(out, task);
  add_costs(out, task);
  out << "\n";
  add_arms(out, task);
}

void add_details(std::ostream& out,
                 const Evaluation& evaluation,
                 std::span<const Evaluation> evaluations) {
  const EvaluationOptions& options = evaluation.options;
  out << "\n## Details of " << label_of(evaluation, evaluations) << "\n\n"
      << "Model " << in_quotes(evaluation.model) << ", compressor "
      << in_quotes(evaluation.compressor) << ".";
  if (!options.texts.empty())
    out << " Texts are cut into " << options.older << " older tokens, " << options.kept
        << " kept and " << options.scored << " scored ones.";
  out << "\n";
  for (const TaskResult& task : evaluation.tasks) add_task(out, task);
}

}  // namespace

json to_json(const Evaluation& evaluation) {
  json tasks = json::object();
  for (const TaskResult& task : evaluation.tasks) tasks[key_of(task)] = to_json(task);
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
  out << "# Evaluation of ";
  if (evaluations.size() > 1)
    out << evaluations.size() << " compressors\n\n";
  else
    out << evaluations.front().method << "\n\n";
  out << summarise(evaluations);
  for (const Evaluation& evaluation : evaluations) add_details(out, evaluation, evaluations);
  return out.str();
}

}  // namespace precis
