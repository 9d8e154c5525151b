// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr int64_t kMaxAnswerTokens = 48;

// The line below every question: without it F1 mostly measures the length of the answers.
inline constexpr const char* kAnswerLine = "Answer with a few words from the text.";

// A question as the model reads it.
std::string with_answer_line(const std::string& question);

// Questions about texts: the likelihood of the first correct answer and the model's greedy answer,
// in all arms. Metrics: those of results_of(); of the answers "contained", "f1", "exact_match";
// "contained_share" and "f1_share", ratios of these to the full text's (of sums, where the full
// text's is above 0); and of memory "f1_over_verbatim" and "f1_over_other", means of paired
// differences. Borrows all arguments. Throws as other_texts().
std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const Question> questions);

}  // namespace precis
