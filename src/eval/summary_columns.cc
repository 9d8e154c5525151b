// SPDX-License-Identifier: Apache-2.0
#include "eval/summary_columns.h"

#include <utility>

#include "base/check.h"
#include "eval/format_measured.h"

namespace precis {
namespace {

// The cell is empty if there is no such metric.
SummaryColumn column(std::string name,
                     Arm arm,
                     const std::string& metric,
                     std::string (*format)(const Measured&)) {
  return {std::move(name), [=](const SummaryRow& row) {
            const Measured* found = find_metric(row.result, name_of(arm), metric);
            return found != nullptr ? format(*found) : std::string();
          }};
}

SummaryColumn share(std::string name, Arm arm, const std::string& metric) {
  return column(std::move(name), arm, metric, percent_with_interval);
}

SummaryColumn mean(std::string name, Arm arm, const std::string& metric) {
  return column(std::move(name), arm, metric, with_interval);
}

std::vector<SummaryColumn> joined(std::vector<SummaryColumn> left,
                                  std::vector<SummaryColumn> right) {
  for (SummaryColumn& column : right) left.push_back(std::move(column));
  return left;
}

std::vector<SummaryColumn> share_columns() {
  return {share("recovered by memory", Arm::kMemory, "recovered_share"),
          share("by as many last tokens", Arm::kVerbatim, "recovered_share"),
          share("by another's memory", Arm::kOther, "recovered_share"),
          share("specific to the text", Arm::kMemory, "specific_share")};
}

// The columns of arms in a task's table.
std::vector<SummaryColumn> arm_columns(EvaluationTask task) {
  switch (task) {
    case EvaluationTask::kContinue:
      return share_columns();
    case EvaluationTask::kQuestions:
      return joined(share_columns(),
                    {mean("loss without the text", Arm::kNone, "nll"),
                     mean("with the memory", Arm::kMemory, "nll"),
                     mean("with the full text", Arm::kFull, "nll")});
    case EvaluationTask::kReconstruct:
      return {mean("BLEU", Arm::kMemory, "bleu"),
              share("exact prefix", Arm::kMemory, "exact_prefix_share")};
    case EvaluationTask::kSummaries:
      return {mean("ROUGE-L of memory", Arm::kMemory, "rouge_l"),
              mean("of as many last tokens", Arm::kVerbatim, "rouge_l"),
              mean("of another's memory", Arm::kOther, "rouge_l"),
              mean("of no text", Arm::kNone, "rouge_l"),
              mean("of the full text", Arm::kFull, "rouge_l")};
    case EvaluationTask::kNeedles:
      return {share("full text", Arm::kFull, "contained"),
              share("memory", Arm::kMemory, "contained"),
              share("memory / full text", Arm::kMemory, "contained_share"),
              share("as many last tokens", Arm::kVerbatim, "contained"),
              share("another's memory", Arm::kOther, "contained"),
              share("no text", Arm::kNone, "contained")};
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

SummaryColumn integer(std::string name, int64_t TaskResult::*value) {
  return {std::move(name), [=](const SummaryRow& row) { return std::to_string(row.task.*value); }};
}

SummaryColumn compressor_column() {
  return {"compressor", [](const SummaryRow& row) { return row.compressor; }};
}

SummaryColumn ratio_column() {
  return {"ratio", [](const SummaryRow& row) { return number(row.result.tokens_per_row); }};
}

std::vector<SummaryColumn> count_columns(EvaluationTask task) {
  if (!asks(task)) return {integer("texts", &TaskResult::num_items)};
  std::vector<SummaryColumn> columns{integer("questions", &TaskResult::num_items),
                                     integer("about texts", &TaskResult::num_contexts)};
  if (task == EvaluationTask::kNeedles)
    columns.push_back(integer("of tokens", &TaskResult::needle_tokens));
  return columns;
}

}  // namespace

std::vector<SummaryRow> rows_of(EvaluationTask task, std::span<const Evaluation> evaluations) {
  std::vector<SummaryRow> rows;
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& of_task : evaluation.tasks) {
      if (of_task.task != task) continue;
      for (const RatioResult& result : of_task.ratios)
        rows.push_back({label_of(evaluation, evaluations), of_task, result});
    }
  }
  return rows;
}

std::vector<SummaryColumn> columns_of(EvaluationTask task) {
  std::vector<SummaryColumn> columns = joined({compressor_column()}, count_columns(task));
  columns.push_back(ratio_column());
  columns = joined(std::move(columns), arm_columns(task));
  columns.push_back(
      {"compress ms", [](const SummaryRow& row) { return number(row.result.compress_ms.value); }});
  return columns;
}

std::vector<SummaryColumn> answer_columns(const std::string& name, const std::string& metric) {
  return {compressor_column(),
          ratio_column(),
          {"answers", [name](const SummaryRow&) { return name; }},
          share("full text", Arm::kFull, metric),
          share("memory", Arm::kMemory, metric),
          share("memory / full text", Arm::kMemory, metric + "_share"),
          share("as many last tokens", Arm::kVerbatim, metric),
          share("last tokens / full text", Arm::kVerbatim, metric + "_share"),
          share("no text", Arm::kNone, metric)};
}

std::vector<SummaryColumn> depth_columns(const std::string& name, Arm arm) {
  return {compressor_column(),
          integer("of tokens", &TaskResult::needle_tokens),
          ratio_column(),
          {"from", [name](const SummaryRow&) { return name; }},
          share("first third", arm, "contained_first_third"),
          share("middle third", arm, "contained_middle_third"),
          share("last third", arm, "contained_last_third")};
}

}  // namespace precis
