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
  int64_t older = 256;                // first tokens of every text, which are compressed
  int64_t kept = 32;                  // tokens after them, uncompressed in every arm
  int64_t scored = 64;                // tokens after those, whose likelihood is measured
  std::vector<double> ratios;         // empty: the compressor's own
  std::optional<MemoryPositions> positions;  // of cached memories; none: the compressor's own
  int64_t limit = 100;                       // of texts, and of questions
  bool templated = false;  // instructions in the compressor's template even if there is a chat
};

struct Metric {
  std::string name;
  Measured measured;
};

// The metrics of one arm, named as name_of(Arm).
struct ArmResult {
  std::string arm;
  std::vector<Metric> metrics;
};

struct RatioResult {
  std::optional<double> ratio;  // as asked for; none: the compressor's own
  double tokens_per_row = 0;    // measured ratio: text tokens per memory token, over all items
  Measured memory_rows;         // memory tokens of an item
  Measured tokens_saved;        // text tokens less memory tokens of an item
  Measured kv_bytes_saved;      // bytes of keys and values of those, in the model's dtype
  Measured compress_ms;         // median over items
  std::vector<ArmResult> arms;
};

struct TaskResult {
  EvaluationTask task = EvaluationTask::kContinue;
  int64_t num_items = 0;
  int64_t num_skipped = 0;  // texts that are too short, questions that are too long
  std::string note;         // why the task was left out; empty: it was not
  std::vector<RatioResult> ratios;
};

struct Evaluation {
  std::string model, compressor;  // paths, set by the caller of evaluate()
  std::string weights;            // format if it is not the dtype; set by the caller of evaluate()
  std::string dtype, device;      // of the computation
  std::string model_fingerprint, compressor_fingerprint, method;
  EvaluationOptions options;
  std::optional<bool> chat;  // whether instructions were given in the model's chat template
  std::vector<TaskResult> tasks;
};

// Null where there is no such arm or metric.
const Measured* find_metric(const RatioResult& result,
                            const std::string& arm,
                            const std::string& metric);

// A label that is unique among `all`: the method; if others share it with the compressor's folder;
// if others share that, too, with its path.
std::string label_of(const Evaluation& evaluation, std::span<const Evaluation> all);

}  // namespace precis
