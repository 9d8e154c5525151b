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
  int64_t limit = 0;                                       // tokens that the prompt may take
  std::function<int64_t(int64_t num_tokens)> memory_size;  // empty: there is no compressor
};

// Decides about the context (Prompt::Treatment::kContext): afterwards every item is read, to be
// compressed, or a memory or embeddings. As little is compressed or dropped as makes the prompt
// fit. Throws kInvalidArgument if it cannot be made to fit, and if text is to be compressed without
// a compressor.
std::vector<PromptItem> fit(std::vector<PromptItem> items, const OverflowRules& rules);

}  // namespace precis
