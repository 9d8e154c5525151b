// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "precis/memory.h"
#include "precis/prompt.h"
#include "precis/token.h"

namespace precis {

// Token ids and whether they are read or compressed.
struct TokenSpan {
  std::vector<TokenId> ids = {};
  Prompt::Treatment treatment = Prompt::Treatment::kKeep;
  bool implied_bos = false;  // the BOS that the tokenizer adds, not one that the prompt names

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
};

// An item of a tokenized prompt.
using PromptItem = std::variant<TokenSpan, Memory, Embeddings>;

// Its token ids; null: it has none.
inline const TokenSpan* tokens_of(const PromptItem& item) { return std::get_if<TokenSpan>(&item); }

inline bool is_to_be_compressed(const PromptItem& item) {
  const TokenSpan* tokens = tokens_of(item);
  return tokens != nullptr && tokens->treatment == Prompt::Treatment::kCompress;
}

}  // namespace precis
