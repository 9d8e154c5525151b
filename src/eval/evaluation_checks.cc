// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation_checks.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "eval/evaluate.h"
#include "eval/questions.h"
#include "eval/summaries.h"
#include "io/mapped_file.h"
#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"

namespace precis {
namespace {

constexpr int64_t kMost = int64_t{1} << 24;  // tokens, and texts; far over what can be evaluated
constexpr int64_t kMarkRoom = 8;             // positions for BOS and the embeddings around a memory
constexpr int64_t kTemplateRoom = 128;       // tokens for an instruction and its template

void check_number(const char* name, int64_t value) {
  PRECIS_CHECK(value >= 1 && value <= kMost,
               kInvalidArgument,
               "evaluation: ",
               name,
               " is ",
               value,
               ", expected 1 to ",
               kMost);
}

bool reads_texts(EvaluationTask task) { return task != EvaluationTask::kQuestions; }

// Positions that the longest prompt and its continuation take.
int64_t needed_context(EvaluationTask task,
                       const EvaluationOptions& options,
                       int64_t memory_tokens) {
  const int64_t read = std::max(options.older, memory_tokens);
  switch (task) {
    case EvaluationTask::kContinue:
      return read + options.kept + options.scored + kMarkRoom;
    case EvaluationTask::kReconstruct:
      return memory_tokens + options.older + kMarkRoom;
    case EvaluationTask::kSummaries:
      return read + kTemplateRoom + kMaxSummaryTokens;
    case EvaluationTask::kQuestions:
      return 0;  // questions that are too long are left out one by one
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

}  // namespace

void check(const EvaluationOptions& options) {
  PRECIS_CHECK(!options.texts.empty() || !options.questions.empty(),
               kInvalidArgument,
               "evaluation: neither texts nor questions are given");
  check_number("older", options.older);
  check_number("kept", options.kept);
  check_number("scored", options.scored);
  check_number("limit", options.limit);
  for (const double ratio : options.ratios) {
    PRECIS_CHECK(std::isfinite(ratio) && ratio >= 1,
                 kInvalidArgument,
                 "evaluation: a ratio is ",
                 ratio,
                 ", expected at least 1");
  }
  for (const EvaluationTask task : options.tasks) {
    const bool has_file = !(reads_texts(task) ? options.texts : options.questions).empty();
    PRECIS_CHECK(has_file,
                 kInvalidArgument,
                 "evaluation: ",
                 name_of(task),
                 " needs ",
                 reads_texts(task) ? "texts" : "questions");
  }
  for (const auto& file : {options.texts, options.questions})
    if (!file.empty()) MappedFile::open(file);
}

std::vector<EvaluationTask> tasks_of(const EvaluationOptions& options) {
  std::set<EvaluationTask> tasks(options.tasks.begin(), options.tasks.end());
  if (tasks.empty() && !options.texts.empty())
    tasks = {EvaluationTask::kContinue, EvaluationTask::kReconstruct, EvaluationTask::kSummaries};
  if (options.tasks.empty() && !options.questions.empty()) tasks.insert(EvaluationTask::kQuestions);
  return {tasks.begin(), tasks.end()};
}

std::vector<std::optional<double>> ratios_of(const EvaluationOptions& options,
                                             const Compressor& compressor) {
  if (options.ratios.empty()) return {std::nullopt};
  const CompressorInfo info = compressor.info();
  PRECIS_CHECK(info.any_ratio,
               kInvalidArgument,
               "evaluation: ",
               info.method,
               " has a fixed ratio, so that ratios cannot be given");
  const std::set<double> ratios(options.ratios.begin(), options.ratios.end());
  return {ratios.begin(), ratios.end()};
}

void check_lengths(const EvaluationOptions& options,
                   const Compressor& compressor,
                   const Decoder& decoder) {
  const CompressorInfo info = compressor.info();
  if (std::ranges::none_of(tasks_of(options), reads_texts)) return;
  PRECIS_CHECK(info.divides || options.older <= info.max_segment,
               kInvalidArgument,
               "evaluation: ",
               info.method,
               " compresses at most ",
               info.max_segment,
               " tokens, older is ",
               options.older);
  const int64_t window = decoder.config().context_length;
  for (const std::optional<double> ratio : ratios_of(options, compressor)) {
    CompressOptions compression;
    compression.ratio = ratio;
    const int64_t memory_tokens = compressor.memory_size(options.older, compression);
    for (const EvaluationTask task : tasks_of(options)) {
      const int64_t needed = needed_context(task, options, memory_tokens);
      PRECIS_CHECK(needed <= window,
                   kInvalidArgument,
                   "evaluation: ",
                   name_of(task),
                   " needs a context of ",
                   needed,
                   " tokens, the model's is ",
                   window);
    }
  }
}

QuestionLengths longest_questions(const Engine& engine) {
  const CompressorInfo info = engine.compressor()->info();
  const int64_t window = engine.decoder().config().context_length;
  const int64_t room = kTemplateRoom + kMaxAnswerTokens + info.slots;
  return {info.divides ? window : info.max_segment, window - room};
}

}  // namespace precis
