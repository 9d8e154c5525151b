// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "precis/completion.h"
#include "precis/engine.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"
#include "precis/options.h"
#include "prompt/splice.h"

namespace precis {

struct DecodeStage {
  const Decoder& decoder;
  const Tokenizer* tokenizer;  // null: answers are ids without text
};

// The last stage: answers spliced prompts in one batch. Fills text, ids, finish, prefill_ms and
// decode_ms of the completions, one each, in order; an answer that fails carries its error.
// `on_text`, if any, receives the text of the first prompt.
std::vector<Completion> decode(const DecodeStage& stage,
                               std::span<const SplicedPrompt> prompts,
                               const GenerationOptions& options,
                               const TextCallback& on_text = {});

// Negative log-likelihood of each of `ids` after the prompt; with no prompt (null), of each but the
// first.
std::vector<double> score(const Decoder& decoder,
                          const SplicedPrompt* prompt,
                          std::span<const TokenId> ids);

}  // namespace precis
