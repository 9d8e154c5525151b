// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include "engine/compress.h"
#include "precis/completion.h"
#include "precis/extend/decoder.h"
#include "precis/options.h"
#include "precis/prompt.h"
#include "prompt/splice.h"
#include "prompt/tokenize.h"

namespace precis {

// What a request passes through on its way to the decode stage.
struct Stages {
  const Decoder& decoder;
  PromptTokenizer tokenizer;
  std::optional<CompressionStage> compression;  // none: no compressor was loaded
};

// A request that is ready to be decoded.
struct Prepared {
  SplicedPrompt prompt;
  Savings savings;
  double compress_ms = 0;
};

enum class Continuation {
  kAnswer,  // what follows is an answer
  kText,    // what follows is the text itself, after the mark that the compressor was trained with
};

// tokenize -> compress -> splice, for one request. Throws kInvalidArgument for a prompt that is
// empty or does not fit, a memory of another model and ids outside the vocabulary.
Prepared prepare(const Prompt& prompt,
                 const GenerationOptions& options,
                 const Stages& stages,
                 Continuation continuation = Continuation::kAnswer);

// Tokens of a prompt before compression: Savings::prompt_tokens. Throws kInvalidArgument for an
// empty one.
int64_t count_tokens(const Prompt& prompt, const Stages& stages);

// Throws kInvalidArgument, naming `where`, for ids outside the vocabulary.
void check_ids(std::span<const TokenId> ids, const Decoder& decoder, const char* where);

}  // namespace precis
