// SPDX-License-Identifier: Apache-2.0
#include "eval/evaluation_plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "eval/continuation.h"
#include "eval/evaluation_checks.h"
#include "eval/needles.h"
#include "eval/questions.h"
#include "eval/reconstruction.h"
#include "eval/summaries.h"

namespace precis {
namespace {

bool instructs(EvaluationTask task) { return task >= EvaluationTask::kSummaries; }

bool has(const std::vector<EvaluationTask>& tasks, EvaluationTask task) {
  return std::ranges::find(tasks, task) != tasks.end();
}

// Kept and scored tokens are of use to the continuation alone.
TextLengths lengths_of(const EvaluationOptions& options, const std::vector<EvaluationTask>& tasks) {
  const bool continues = tasks.front() == EvaluationTask::kContinue;
  return {options.older, continues ? options.kept : 0, continues ? options.scored : 0};
}

// Ascending, each once.
std::set<int64_t> lengths_of(const NeedleOptions& needles) {
  return {needles.tokens.begin(), needles.tokens.end()};
}

}  // namespace

TaskProgress stage_of(const EvaluationProgress& progress, const std::string& name) {
  if (!progress) return {};
  return [&progress, name](double done) { progress(name, done); };
}

EvaluationPlan::EvaluationPlan(const Engine& engine,
                               const EvaluationOptions& options,
                               Readings& readings,
                               const EvaluationProgress& progress)
    : engine_(engine), readings_(readings) {
  const std::vector<EvaluationTask> tasks = tasks_of(options);
  if (std::ranges::any_of(tasks, instructs)) load_prompts(options);
  if (!asks(tasks.front())) add_texts(options, tasks, progress);
  if (has(tasks, EvaluationTask::kQuestions)) read_questions_of(options, progress);
  if (has(tasks, EvaluationTask::kNeedles)) make_needles_of(options, progress);
  const bool any =
      std::ranges::any_of(groups_, [](const TaskGroup& group) { return !group.tasks.empty(); });
  PRECIS_CHECK(any, kUnsupported, "evaluation: ", left_out_.front().note);
}

std::optional<bool> EvaluationPlan::chat() const {
  return prompts_ ? std::optional(prompts_->chat()) : std::nullopt;
}

void EvaluationPlan::load_prompts(const EvaluationOptions& options) {
  try {
    prompts_.emplace(engine_, options.templated);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    no_prompts_ = error.what();
  }
}

void EvaluationPlan::add_texts(const EvaluationOptions& options,
                               const std::vector<EvaluationTask>& tasks,
                               const EvaluationProgress& progress) {
  texts_ = read_texts(options.texts,
                      engine_.tokenizer(),
                      lengths_of(options, tasks),
                      options.limit,
                      stage_of(progress, "reading texts"));
  TaskGroup group{older_texts(texts_.texts)};
  group.num_items = std::ssize(group.texts);
  group.num_skipped = texts_.num_too_short;
  for (const EvaluationTask task : tasks)
    if (!asks(task)) add_text_task(task, group);
  groups_.push_back(std::move(group));
}

void EvaluationPlan::add_text_task(EvaluationTask task, TaskGroup& group) {
  if (task == EvaluationTask::kSummaries && !prompts_) return leave_out(task, no_prompts_);
  std::unique_ptr<MemoryTask> made;
  if (task == EvaluationTask::kContinue)
    made = make_continuation(engine_, readings_, texts_.texts);
  else if (task == EvaluationTask::kReconstruct)
    made = make_reconstruction(engine_, texts_.texts);
  else
    made = make_summaries(engine_, readings_, *prompts_, texts_.texts);
  if (const std::string reason = made->unsupported_reason(); !reason.empty())
    return leave_out(task, reason);
  group.tasks.push_back(std::move(made));
}

void EvaluationPlan::read_questions_of(const EvaluationOptions& options,
                                       const EvaluationProgress& progress) {
  questions_ = read_questions(options.questions,
                              engine_.tokenizer(),
                              longest_questions(engine_),
                              options.limit,
                              stage_of(progress, "reading questions"));
  if (!prompts_) return leave_out(EvaluationTask::kQuestions, no_prompts_);
  add_questions(questions_);
}

void EvaluationPlan::make_needles_of(const EvaluationOptions& options,
                                     const EvaluationProgress& progress) {
  const NeedleOptions& needles = options.needles;
  const std::vector<std::string> texts =
      read_needle_texts(needles.texts, stage_of(progress, "reading texts for needles"));
  if (!prompts_) return leave_out(EvaluationTask::kNeedles, no_prompts_);
  const int64_t room = longest_questions(engine_).all;
  for (const int64_t tokens : lengths_of(needles))
    needles_.push_back(
        make_needles(texts, engine_.tokenizer(), needles, tokens, options.limit, room));
  for (const QuestionItems& items : needles_) add_questions(items);
}

void EvaluationPlan::add_questions(const QuestionItems& items) {
  TaskGroup group{{items.contexts.begin(), items.contexts.end()}};
  group.num_items = std::ssize(items.questions);
  group.num_skipped = items.num_too_long;
  group.needle_tokens = items.needle_tokens;
  group.tasks.push_back(make_questions(engine_, readings_, *prompts_, items));
  groups_.push_back(std::move(group));
}

void EvaluationPlan::leave_out(EvaluationTask task, const std::string& why) {
  left_out_.push_back({.task = task, .note = why});
}

}  // namespace precis
