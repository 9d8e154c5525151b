// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/token.h"

namespace precis {

// Prompt tokens before and after the text. The teacher reads the full text there, the student its
// memory.
struct RefineContext {
  std::vector<TokenId> before_text;  // read before the text
  // Read around the memory: `before` and `after` alone.
  MemoryTemplate around_memory;
};

// Prompts about the text in the model's chat: ids behind the text up to the beginning of the
// answer.
struct RefineChat {
  RefineContext context;
  std::vector<std::vector<TokenId>> requests;  // answered
  std::vector<std::vector<TokenId>> askings;   // answered by a question, which is answered then
  std::vector<TokenId> before_question;        // between the text and such a question
  std::vector<TokenId> after_question;
};

// What the model reads and generates while a memory is refined.
struct RefinePrompts {
  RefineContext plain;               // the text goes on directly
  std::optional<RefineChat> chat;    // none: the model has no chat template
  std::set<TokenId> stop_ids;        // end a sample
  std::vector<TokenId> never_drawn;  // ids of no text
  int64_t vocab_size = 0;            // ids from there on are never drawn; 0: the decoder's
};

}  // namespace precis
