// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>

#include "eval/evaluation_rows.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr int64_t kMaxAnswerTokens = 48;

// The line below every question: without it F1 measures how long the answers are.
inline constexpr const char* kAnswerLine = "Answer with a few words from the text.";

// A question as it is put to the model.
std::string with_answer_line(const std::string& question);

// Asks about texts, in all arms: how likely the first right answer is, and what the model answers
// greedily. Beside the metrics of results_of(), those of answers: "contained", "f1", "exact_match";
// "contained_share" and "f1_share", what these are of the full text's (ratios of sums, where the
// full text's are above 0); and of memory "f1_over_verbatim" and "f1_over_other", means of paired
// differences. What is passed is borrowed. Throws kInvalidArgument if no two contexts differ, or
// none fits beside a question but its own.
std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const Question> questions);

}  // namespace precis
