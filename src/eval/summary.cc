// SPDX-License-Identifier: Apache-2.0
#include "eval/summary.h"

#include <sstream>
#include <utility>

#include "eval/format_measured.h"
#include "eval/markdown_table.h"
#include "eval/summary_columns.h"
#include "eval/table_notes.h"
#include "eval/verdict.h"

namespace precis {
namespace {

MarkdownTable table_of(const std::vector<SummaryColumn>& columns) {
  std::vector<std::string> names;
  for (const SummaryColumn& column : columns) names.push_back(column.name);
  return MarkdownTable(std::move(names));
}

void add_row(const std::vector<SummaryColumn>& columns,
             const SummaryRow& row,
             MarkdownTable& table) {
  std::vector<std::string> cells;
  for (const SummaryColumn& column : columns) cells.push_back(column.cell(row));
  table.add(std::move(cells));
}

// A table with a line in each form of `lines` for each row, and what it shows below it. REQUIRES:
// the same headers in all forms.
void write_table(const std::vector<std::vector<SummaryColumn>>& lines,
                 const std::vector<SummaryRow>& rows,
                 const char* note,
                 std::ostream& out) {
  MarkdownTable table = table_of(lines.front());
  for (const SummaryRow& row : rows)
    for (const std::vector<SummaryColumn>& columns : lines) add_row(columns, row, table);
  table.write(out);
  out << "\n" << note << "\n\n";
}

void write_verdict(EvaluationTask task, const SummaryRow& row, std::ostream& out) {
  out << "- " << row.compressor << " at "
      << number(row.result.ratio.value_or(row.result.tokens_per_row)) << "x";
  if (task == EvaluationTask::kNeedles) out << ", " << row.task.needle_tokens << " tokens";
  out << ": " << verdict(task, row.result) << "\n";
}

void write_rows(EvaluationTask task, const std::vector<SummaryRow>& rows, std::ostream& out) {
  write_table({columns_of(task)}, rows, table_note(task), out);
  if (task == EvaluationTask::kQuestions)
    write_table({answer_columns("contained", "contained"), answer_columns("F1", "f1")},
                rows,
                kAnswersNote,
                out);
  if (task == EvaluationTask::kNeedles)
    write_table({depth_columns("full text", Arm::kFull),
                 depth_columns("memory", Arm::kMemory),
                 depth_columns("as many last tokens", Arm::kVerbatim)},
                rows,
                kDepthsNote,
                out);
  for (const SummaryRow& row : rows) write_verdict(task, row, out);
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
                                    EvaluationTask::kQuestions,
                                    EvaluationTask::kNeedles}) {
    if (!has(task, evaluations)) continue;
    out << "## " << name_of(task) << "\n\n";
    if (const std::vector<SummaryRow> rows = rows_of(task, evaluations); !rows.empty())
      write_rows(task, rows, out);
    write_notes(task, evaluations, out);
    out << "\n";
  }
  out << kHowToRead;
  return out.str();
}

}  // namespace precis
