// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/measured.h"
#include "precis/options.h"

namespace precis {

enum class EvaluationTask { kContinue, kReconstruct, kSummaries, kQuestions };

// "continue", "reconstruct", "summaries", "questions".
std::string name_of(EvaluationTask task);

struct EvaluationOptions {
  std::filesystem::path texts;        // JSON Lines {"text": ..., "summary": optional}; empty: none
  std::filesystem::path questions;    // JSON Lines {"context", "prompt", "answer" or "answers"}
  std::vector<EvaluationTask> tasks;  // empty: all that the files allow
  int64_t older = 256;                // tokens of every text that are compressed
  int64_t kept = 32;                  // that stand before the scored ones in every arm
  int64_t scored = 64;
  std::vector<double> ratios;                // empty: the compressor's own
  std::optional<MemoryPositions> positions;  // of cached memories; none: the compressor's own
  int64_t limit = 100;                       // texts and questions at most
  bool templated = false;  // questions in the compressor's template also where there is a chat
};

struct Metric {
  std::string name;
  Measured measured;
};

// One way to read the text: none, verbatim, memory, other, other_full or full.
struct ArmResult {
  std::string arm;
  std::vector<Metric> metrics;
};

struct RatioResult {
  std::optional<double> ratio;  // as asked for; none: the compressor's own
  double tokens_per_row = 0;    // text tokens for each memory row, over all items
  Measured memory_rows;         // of an item
  Measured tokens_saved;        // of an item: its text's tokens less its memory's rows
  Measured kv_bytes_saved;      // keys and values of those, in the model's dtype
  Measured compress_ms;         // median
  std::vector<ArmResult> arms;
};

struct TaskResult {
  EvaluationTask task = EvaluationTask::kContinue;
  int64_t num_items = 0;
  int64_t num_skipped = 0;  // texts that are too short, questions that are too long
  std::string note;         // why there are no results; empty: there are
  std::vector<RatioResult> ratios;
};

struct Evaluation {
  std::string model, compressor;  // what the caller calls them; evaluate() leaves them empty
  std::string weights;            // the format, where it is not the dtype; so too
  std::string dtype, device;      // that was computed in and on
  std::string model_fingerprint, compressor_fingerprint, method;
  EvaluationOptions options;
  std::optional<bool> chat;  // whether instructions were given in the model's chat template
  std::vector<TaskResult> tasks;
};

// Null where there is no such arm or metric.
const Measured* find_metric(const RatioResult& result,
                            const std::string& arm,
                            const std::string& metric);

// What tells an evaluation from the others beside it: its method, or where that is shared the
// compressor's folder, or where that is shared too all of its path.
std::string label_of(const Evaluation& evaluation, std::span<const Evaluation> all);

}  // namespace precis
