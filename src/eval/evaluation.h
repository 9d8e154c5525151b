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

enum class EvaluationTask { kContinue, kReconstruct, kSummaries, kQuestions, kNeedles };

// "continue", "reconstruct", "summaries", "questions", "needles".
std::string name_of(EvaluationTask task);

// Invented facts (needles) that are hidden in texts and asked for.
struct NeedleOptions {
  std::filesystem::path texts;             // JSON Lines {"text": ...}, joined; empty: no needles
  std::vector<int64_t> tokens{512, 4096};  // lengths of the contexts, facts included
  int64_t per_text = 3;                    // facts in each context
  uint64_t seed = 1;                       // of facts and places
};

struct EvaluationOptions {
  std::filesystem::path texts;      // JSON Lines {"text": ..., "summary": optional}; empty: none
  std::filesystem::path questions;  // JSON Lines {"context", "prompt", "answer" or "answers"}
  NeedleOptions needles;
  std::vector<EvaluationTask> tasks;         // empty: all that the files allow
  int64_t older = 256;                       // first tokens of every text, which are compressed
  int64_t kept = 32;                         // tokens after them, uncompressed in every arm
  int64_t scored = 64;                       // tokens after those, whose likelihood is measured
  std::vector<double> ratios;                // empty: the compressor's own
  std::optional<MemoryPositions> positions;  // of cached memories; none: the compressor's own
  double refine_seconds = 0;                 // as in CompressOptions
  int64_t limit = 100;     // of texts, of questions, and of needles of each length
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
  int64_t num_items = 0;    // texts, or questions
  int64_t num_skipped = 0;  // texts that are too short, questions that are too long
  std::string note = {};    // why the task was left out; empty: it was not
  std::vector<RatioResult> ratios = {};
  int64_t num_contexts = 0;   // texts that the questions are about; intervals are over these
  int64_t needle_tokens = 0;  // length of the contexts; 0: no needles
};

// Whether the items of a task are questions, several of which may be about one text.
bool asks(EvaluationTask task);

// The name of the task, and the length of needles' contexts: "needles, 512 tokens".
std::string title_of(const TaskResult& result);

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
