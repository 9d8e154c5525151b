// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/evaluation_rows.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr const char* kSummaryInstruction = "Summarise the text above in two sentences.";
inline constexpr int64_t kMaxSummaryTokens = 96;

// Summarises the older parts of texts, greedily: ROUGE of what the model says in all arms but that
// of the full text, and of the memory "rouge_l_over_verbatim" and "rouge_l_over_other". The
// reference is the file's summary, else what the same model says of the full text. Where the file
// has all summaries, the full text is an arm too. What is passed is borrowed.
std::unique_ptr<MemoryTask> make_summaries(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const CutText> texts);

}  // namespace precis
