// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "precis/options.h"
#include "prompt/prompt_part.h"

namespace precis {

struct OverflowRules {
  Overflow policy = Overflow::kRefuse;
  int64_t limit = 0;                                       // rows that the prompt may take
  std::function<int64_t(int64_t num_tokens)> memory_size;  // empty: there is no compressor
};

// Decides what becomes of the context (Prompt::Treatment::kContext): afterwards every part is kept,
// to be compressed, or a memory. As little is compressed or dropped as makes the prompt fit. Throws
// kInvalidArgument if it cannot be made to fit, and if something is to be compressed without a
// compressor.
std::vector<PromptPart> fit(std::vector<PromptPart> parts, const OverflowRules& rules);

}  // namespace precis
