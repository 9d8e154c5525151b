// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "eval/evaluation_items.h"
#include "eval/instruct_prompts.h"

namespace precis {

inline constexpr const char* kSummaryInstruction = "Summarise the text above in two sentences.";
inline constexpr int64_t kMaxSummaryTokens = 96;

// Greedy summaries of the older texts. Metrics: ROUGE of each arm, and of memory
// "rouge_l_over_verbatim" and "rouge_l_over_other", means of paired differences. The reference is
// the file's summary, else the model's own summary of the full text; kFull is an arm only where the
// file has all summaries. Borrows all arguments. Throws as other_texts().
std::unique_ptr<MemoryTask> make_summaries(const Engine& engine,
                                           Readings& readings,
                                           const InstructPrompts& prompts,
                                           std::span<const CutText> texts);

}  // namespace precis
