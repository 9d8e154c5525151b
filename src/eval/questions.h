// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr int64_t kMaxAnswerTokens = 48;

// A question as the model reads it.
std::string with_answer_line(const std::string& question,
                             const std::string& answer_line = kAnswerLine);

// Questions about texts: the likelihood of the correct answer and the model's greedy answer, in all
// arms. The loss of a question is the mean negative log-likelihood of the answer's tokens after the
// prompt; of several correct answers, the lowest counts in each arm. Metrics: those of results_of()
// and add_answer_metrics(), of needles also those of add_depth_metrics(). All intervals are over
// contexts. Memories are those of the contexts, in their order. Borrows all arguments. Throws as
// other_texts().
std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           const QuestionItems& items);

}  // namespace precis
