// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "precis/memory.h"
#include "precis/prompt.h"

namespace precis {

// A piece of a tokenized prompt: token ids with their treatment, or a memory.
struct PromptPart {
  std::vector<TokenId> tokens;
  Prompt::Treatment treatment = Prompt::Treatment::kKeep;
  std::optional<Memory> memory;  // then there are no tokens
  bool implied_bos = false;      // the BOS that no prompt asked for

  int64_t num_tokens() const { return static_cast<int64_t>(tokens.size()); }
};

}  // namespace precis
