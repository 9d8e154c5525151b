// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/extend/tokenizer.h"
#include "precis/prompt.h"
#include "prompt/prompt_item.h"

namespace precis {

// Tokenizer and chat template of a model. Null: the model has none.
struct PromptTokenizer {
  const Tokenizer* tokenizer = nullptr;
  const ChatTemplate* chat = nullptr;
  std::string chat_problem = "the model has no chat template";  // the error where chat is null
  bool cached_memories = false;  // text to be compressed becomes cached memories
};

// The first stage: text to ids. Adjacent kept texts are tokenized as one; each text that may be
// compressed is tokenized alone. BOS is added by the rules in layout.h; in a chat the template adds
// it. Throws kInvalidArgument for an empty prompt, for chat turns without a template,
// for chat options without a turn, and for invalid UTF-8.
std::vector<PromptItem> tokenize(const Prompt& prompt, const PromptTokenizer& with);

}  // namespace precis
