// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "eval/arms.h"
#include "eval/evaluation.h"

// The tables of a summary.
namespace precis {

// One row of a task's tables. Borrows from the evaluations.
struct SummaryRow {
  std::string compressor;
  const TaskResult& task;
  const RatioResult& result;
};

struct SummaryColumn {
  std::string name;
  std::function<std::string(const SummaryRow& row)> cell;
};

// A row for each compressor, length of needles and ratio.
std::vector<SummaryRow> rows_of(EvaluationTask task, std::span<const Evaluation> evaluations);

// Of a task's first table.
std::vector<SummaryColumn> columns_of(EvaluationTask task);
// Of a metric of answers, and its ratio to the full text's.
std::vector<SummaryColumn> answer_columns(const std::string& name, const std::string& metric);
// Of the share of needles that an arm finds in each third of the texts.
std::vector<SummaryColumn> depth_columns(const std::string& name, Arm arm);

}  // namespace precis
