// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "precis/options.h"
#include "prompt/prompt_item.h"

namespace precis {

struct OverflowRules {
  Overflow policy = Overflow::kRefuse;
  int64_t limit = 0;                                       // tokens available for the prompt
  std::function<int64_t(int64_t num_tokens)> memory_size;  // empty: there is no compressor
};

// Replaces the context (Prompt::Treatment::kContext): every item returned is kept, to be
// compressed, a memory, or embeddings. Compresses or drops as few tokens as needed to fit. Throws
// kInvalidArgument if the prompt cannot be made to fit, and if text is to be compressed without a
// compressor.
std::vector<PromptItem> fit(std::vector<PromptItem> items, const OverflowRules& rules);

}  // namespace precis
