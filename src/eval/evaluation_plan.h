// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/arms.h"
#include "eval/evaluate.h"
#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"

namespace precis {

// Texts and the tasks over them, which share their memories: one for each text and ratio.
struct TaskGroup {
  std::vector<Text> texts;
  std::vector<std::unique_ptr<MemoryTask>> tasks = {};
  int64_t num_items = 0;  // of each task
  int64_t num_skipped = 0;
  int64_t needle_tokens = 0;  // TaskResult::needle_tokens
};

// Progress of one stage of an evaluation. Borrows `progress`.
TaskProgress stage_of(const EvaluationProgress& progress, const std::string& name);

// The files of an evaluation, read, and its tasks. Borrows what it is given; its tasks borrow from
// it, so that it stays where it is.
class EvaluationPlan {
 public:
  // REQUIRES: options that check() accepts. Throws as read_texts() and read_questions(), and
  // kUnsupported if the compressor can do none of the tasks.
  EvaluationPlan(const Engine& engine,
                 const EvaluationOptions& options,
                 Readings& readings,
                 const EvaluationProgress& progress);
  EvaluationPlan(const EvaluationPlan&) = delete;
  EvaluationPlan& operator=(const EvaluationPlan&) = delete;

  const std::vector<TaskGroup>& groups() const { return groups_; }
  // Tasks that the compressor cannot do, each with a note.
  const std::vector<TaskResult>& left_out() const { return left_out_; }
  // Whether instructions are given in the model's chat template; none: there are no instructions.
  std::optional<bool> chat() const;

 private:
  void load_prompts(const EvaluationOptions& options);
  void add_texts(const EvaluationOptions& options,
                 const std::vector<EvaluationTask>& tasks,
                 const EvaluationProgress& progress);
  void add_text_task(EvaluationTask task, TaskGroup& group);
  void read_questions_of(const EvaluationOptions& options, const EvaluationProgress& progress);
  void make_needles_of(const EvaluationOptions& options, const EvaluationProgress& progress);
  void add_questions(const QuestionItems& items);
  void leave_out(EvaluationTask task, const std::string& why);

  const Engine& engine_;
  Readings& readings_;
  TextItems texts_;
  QuestionItems questions_;
  std::vector<QuestionItems> needles_;  // of each length
  std::optional<InstructPrompts> prompts_;
  std::string no_prompts_;  // why there are none
  std::vector<TaskGroup> groups_;
  std::vector<TaskResult> left_out_;
};

}  // namespace precis
