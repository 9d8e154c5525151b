// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/evaluation_rows.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr int64_t kMaxAnswerTokens = 48;

// Asks about texts: how likely the first right answer is, in all five arms, and what the model
// answers greedily without the text, from its memory and from all of it. `prompts` is borrowed.
// Throws kInvalidArgument if no two contexts differ.
std::unique_ptr<MemoryTask> make_questions(const Engine& engine,
                                           const InstructPrompts& prompts,
                                           std::span<const Question> questions);

}  // namespace precis
