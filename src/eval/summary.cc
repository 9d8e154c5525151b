// SPDX-License-Identifier: Apache-2.0
#include "eval/summary.h"

#include <functional>
#include <sstream>

#include "base/check.h"
#include "eval/arms.h"
#include "eval/format_measured.h"
#include "eval/markdown_table.h"
#include "eval/verdict.h"

namespace precis {
namespace {

constexpr const char* kLegend =
    "Ratio: text tokens per memory token. Recovered: (none - memory) / (none - full), of losses.\n"
    "Specific: the same with another text in full in place of none. In brackets: 95 % bootstrap\n"
    "intervals over items. Better or worse: the interval of the paired difference excludes 0.\n";

// One row of a task's table.
struct Row {
  std::string compressor;
  const TaskResult& task;
  const RatioResult& result;
};

struct Column {
  std::string name;
  std::function<std::string(const Row& row)> cell;
};

std::vector<Row> rows_of(EvaluationTask task, std::span<const Evaluation> evaluations) {
  std::vector<Row> rows;
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& of_task : evaluation.tasks) {
      if (of_task.task != task) continue;
      for (const RatioResult& result : of_task.ratios)
        rows.push_back({label_of(evaluation, evaluations), of_task, result});
    }
  }
  return rows;
}

// The cell is empty if there is no such metric.
Column column(std::string name,
              Arm arm,
              const std::string& metric,
              std::string (*format)(const Measured&)) {
  return {std::move(name), [=](const Row& row) {
            const Measured* found = find_metric(row.result, name_of(arm), metric);
            return found != nullptr ? format(*found) : std::string();
          }};
}

Column share(std::string name, Arm arm, const std::string& metric) {
  return column(std::move(name), arm, metric, percent_with_interval);
}

Column mean(std::string name, Arm arm, const std::string& metric) {
  return column(std::move(name), arm, metric, with_interval);
}

// The columns of arms in a task's table.
std::vector<Column> arm_columns(EvaluationTask task) {
  switch (task) {
    case EvaluationTask::kContinue:
    case EvaluationTask::kQuestions:
      return {share("recovered by memory", Arm::kMemory, "recovered_share"),
              share("by as many last tokens", Arm::kVerbatim, "recovered_share"),
              share("by another's memory", Arm::kOther, "recovered_share"),
              share("specific to the text", Arm::kMemory, "specific_share")};
    case EvaluationTask::kReconstruct:
      return {mean("BLEU", Arm::kMemory, "bleu"),
              share("exact prefix", Arm::kMemory, "exact_prefix_share")};
    case EvaluationTask::kSummaries:
      return {mean("ROUGE-L of memory", Arm::kMemory, "rouge_l"),
              mean("of as many last tokens", Arm::kVerbatim, "rouge_l"),
              mean("of another's memory", Arm::kOther, "rouge_l"),
              mean("of no text", Arm::kNone, "rouge_l"),
              mean("of the full text", Arm::kFull, "rouge_l")};
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

std::vector<Column> columns_of(EvaluationTask task) {
  std::vector<Column> columns{
      {"compressor", [](const Row& row) { return row.compressor; }},
      {"items", [](const Row& row) { return std::to_string(row.task.num_items); }},
      {"ratio", [](const Row& row) { return number(row.result.tokens_per_row); }}};
  for (Column& column : arm_columns(task)) columns.push_back(std::move(column));
  columns.push_back(
      {"compress ms", [](const Row& row) { return number(row.result.compress_ms.value); }});
  return columns;
}

// A metric of answers, and its ratio to the full text's.
std::vector<Column> answer_columns(const std::string& name, const std::string& metric) {
  return {{"compressor", [](const Row& row) { return row.compressor; }},
          {"ratio", [](const Row& row) { return number(row.result.tokens_per_row); }},
          {"answers", [name](const Row&) { return name; }},
          share("full text", Arm::kFull, metric),
          share("memory", Arm::kMemory, metric),
          share("of the full text's", Arm::kMemory, metric + "_share"),
          share("as many last tokens", Arm::kVerbatim, metric),
          share("of the full text's", Arm::kVerbatim, metric + "_share")};
}

MarkdownTable table_of(const std::vector<Column>& columns) {
  std::vector<std::string> names;
  for (const Column& column : columns) names.push_back(column.name);
  return MarkdownTable(std::move(names));
}

void add_row(const std::vector<Column>& columns, const Row& row, MarkdownTable& table) {
  std::vector<std::string> cells;
  for (const Column& column : columns) cells.push_back(column.cell(row));
  table.add(std::move(cells));
}

void write_answers(const std::vector<Row>& rows, std::ostream& out) {
  const std::vector<Column> contained = answer_columns("contained", "contained"),
                            f1 = answer_columns("F1", "f1");
  MarkdownTable table = table_of(contained);
  for (const Row& row : rows) {
    add_row(contained, row, table);
    add_row(f1, row, table);
  }
  out << "\n";
  table.write(out);
}

void write_rows(EvaluationTask task, const std::vector<Row>& rows, std::ostream& out) {
  const std::vector<Column> columns = columns_of(task);
  MarkdownTable table = table_of(columns);
  for (const Row& row : rows) add_row(columns, row, table);
  table.write(out);
  if (task == EvaluationTask::kQuestions) write_answers(rows, out);
  out << "\n";
  for (const Row& row : rows)
    out << "- " << row.compressor << " at "
        << number(row.result.ratio.value_or(row.result.tokens_per_row))
        << "x: " << verdict(task, row.result) << "\n";
}

// Tasks that were left out, and why.
void write_notes(EvaluationTask task, std::span<const Evaluation> evaluations, std::ostream& out) {
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& result : evaluation.tasks)
      if (result.task == task && !result.note.empty())
        out << "- " << label_of(evaluation, evaluations) << " is left out: " << result.note << "\n";
  }
}

bool has(EvaluationTask task, std::span<const Evaluation> evaluations) {
  for (const Evaluation& evaluation : evaluations) {
    for (const TaskResult& result : evaluation.tasks)
      if (result.task == task) return true;
  }
  return false;
}

}  // namespace

std::string summarise(std::span<const Evaluation> evaluations) {
  std::ostringstream out;
  for (const EvaluationTask task : {EvaluationTask::kContinue,
                                    EvaluationTask::kReconstruct,
                                    EvaluationTask::kSummaries,
                                    EvaluationTask::kQuestions}) {
    if (!has(task, evaluations)) continue;
    out << "## " << name_of(task) << "\n\n";
    if (const std::vector<Row> rows = rows_of(task, evaluations); !rows.empty())
      write_rows(task, rows, out);
    write_notes(task, evaluations, out);
    out << "\n";
  }
  out << kLegend;
  return out.str();
}

}  // namespace precis
