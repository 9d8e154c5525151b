// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "chat/chat_template.h"
#include "precis/extend/tokenizer.h"
#include "precis/prompt.h"
#include "prompt/prompt_part.h"

namespace precis {

// What a prompt is tokenized with; both are null for models that come without.
struct PromptTokenizer {
  const Tokenizer* tokenizer;
  const ChatTemplate* chat;
  std::string chat_problem = "the model has no chat template";  // what to say where chat is null
  // Text to be compressed becomes a cached memory, read with the BOS that its compressor wants.
  bool cached_memories = false;
};

// The first stage: text to ids. Texts that are kept and stand next to each other are tokenized as
// one; those that may be compressed on their own. A prompt that is no chat and starts with text
// gets the model's BOS, if it wants one; a text that becomes a cached memory does not, for its
// compressor knows what to read before it. Throws kInvalidArgument for an empty prompt, for chat
// turns without a template, and for invalid UTF-8.
std::vector<PromptPart> tokenize(const Prompt& prompt, const PromptTokenizer& with);

}  // namespace precis
