// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation_checks.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "eval/evaluate.h"
#include "eval/needle_facts.h"
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

// What a task reads: the name of the option, and its file.
struct Source {
  const char* name;
  const std::filesystem::path& file;
};

Source source_of(EvaluationTask task, const EvaluationOptions& options) {
  if (task == EvaluationTask::kNeedles) return {"texts for needles", options.needles.texts};
  if (task == EvaluationTask::kQuestions) return {"questions", options.questions};
  return {"texts", options.texts};
}

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
    case EvaluationTask::kNeedles:
      return 0;  // longest_questions() says what fits
  }
  fail(ErrorKind::kInternal, "evaluation: no such task");
}

void check_needles(const NeedleOptions& needles) {
  PRECIS_CHECK(!needles.tokens.empty(), kInvalidArgument, "evaluation: needles have no length");
  for (const int64_t tokens : needles.tokens) check_number("needle tokens", tokens);
  PRECIS_CHECK(needles.per_text >= 1 && needles.per_text <= kMaxNeedles,
               kInvalidArgument,
               "evaluation: needles per text are ",
               needles.per_text,
               ", expected 1 to ",
               kMaxNeedles);
}

QuestionLengths longest_questions(const CompressorInfo& info, int64_t window) {
  const int64_t room = kTemplateRoom + kMaxAnswerTokens + info.slots;
  return {info.divides ? window : info.max_segment, window - room};
}

void check_needle_lengths(const NeedleOptions& needles,
                          const CompressorInfo& info,
                          int64_t window) {
  const QuestionLengths longest = longest_questions(info, window);
  const int64_t most = std::min(longest.context, longest.all);
  for (const int64_t tokens : needles.tokens) {
    PRECIS_CHECK(tokens <= most,
                 kInvalidArgument,
                 "evaluation: needles are in contexts of ",
                 tokens,
                 " tokens; ",
                 info.method,
                 " and a model with a context of ",
                 window,
                 " tokens leave room for ",
                 most);
  }
}

}  // namespace

void check(const EvaluationOptions& options) {
  PRECIS_CHECK(
      !options.texts.empty() || !options.questions.empty() || !options.needles.texts.empty(),
      kInvalidArgument,
      "evaluation: neither texts nor questions nor texts for needles are given");
  check_number("older", options.older);
  check_number("kept", options.kept);
  check_number("scored", options.scored);
  check_number("limit", options.limit);
  if (!options.needles.texts.empty()) check_needles(options.needles);
  for (const double ratio : options.ratios) {
    PRECIS_CHECK(std::isfinite(ratio) && ratio >= 1,
                 kInvalidArgument,
                 "evaluation: a ratio is ",
                 ratio,
                 ", expected at least 1");
  }
  for (const EvaluationTask task : options.tasks) {
    const Source source = source_of(task, options);
    PRECIS_CHECK(!source.file.empty(),
                 kInvalidArgument,
                 "evaluation: ",
                 name_of(task),
                 " needs ",
                 source.name);
  }
  for (const auto& file : {options.texts, options.questions, options.needles.texts})
    if (!file.empty()) MappedFile::open(file);
}

std::vector<EvaluationTask> tasks_of(const EvaluationOptions& options) {
  std::set<EvaluationTask> tasks(options.tasks.begin(), options.tasks.end());
  if (tasks.empty() && !options.texts.empty())
    tasks = {EvaluationTask::kContinue, EvaluationTask::kReconstruct, EvaluationTask::kSummaries};
  if (options.tasks.empty() && !options.questions.empty()) tasks.insert(EvaluationTask::kQuestions);
  if (options.tasks.empty() && !options.needles.texts.empty())
    tasks.insert(EvaluationTask::kNeedles);
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
  const std::vector<EvaluationTask> tasks = tasks_of(options);
  if (tasks.back() == EvaluationTask::kNeedles)
    check_needle_lengths(options.needles, info, decoder.config().context_length);
  if (asks(tasks.front())) return;
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
    for (const EvaluationTask task : tasks) {
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
  return longest_questions(info, engine.decoder().config().context_length);
}

}  // namespace precis
