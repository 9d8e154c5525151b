// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/compress.h"
#include "precis/completion.h"
#include "precis/extend/decoder.h"
#include "precis/extend/segment.h"
#include "precis/options.h"
#include "precis/prompt.h"
#include "prompt/prompt_item.h"
#include "prompt/splice.h"
#include "prompt/tokenize.h"

namespace precis {

// What the stages before decoding work with.
struct Stages {
  const Decoder& decoder;
  PromptTokenizer tokenizer;
  std::optional<CompressionStage> compression;  // none: no compressor was loaded
};

enum class Continuation {
  kAnswer,  // an answer is generated
  kText,    // the text itself goes on: after a memory, the compressor's continuation mark is read
};

// A prompt before compression: tokenized, and fitted into the window.
struct PromptPlan {
  std::vector<PromptItem> items;
  std::shared_ptr<const SharedPrefix> prefix;  // that the compressor reads as well; null: none
  CompressionJob job;         // a segment for each item to be compressed, in order; may be none
  int64_t prompt_tokens = 0;  // before compression
  int64_t max_tokens = 0;     // that are to follow the prompt
  Continuation continuation = Continuation::kAnswer;
};

// A prompt that is ready to be decoded.
struct Prepared {
  SplicedPrompt prompt;
  Savings savings;
  double compress_ms = 0;
};

// The first half of prepare(). Throws kInvalidArgument for a prompt that is empty or does not fit,
// memories of another model, and ids outside the vocabulary.
PromptPlan plan(const Prompt& prompt,
                const GenerationOptions& options,
                const Stages& stages,
                Continuation continuation = Continuation::kAnswer);

// The second half. result: the memories of plan.job. Throws its error, if it has one, and
// kInvalidArgument for positions beyond the window. A prompt that is to be answered also has to
// have inputs behind its cached memories.
Prepared finish(PromptPlan plan, CompressionResult result, const Stages& stages);

// tokenize -> compress -> splice, for one prompt: plan(), its compression, finish().
Prepared prepare(const Prompt& prompt,
                 const GenerationOptions& options,
                 const Stages& stages,
                 Continuation continuation = Continuation::kAnswer);

// Tokens of a prompt before compression: Savings::prompt_tokens. Throws kInvalidArgument for an
// empty prompt.
int64_t count_tokens(const Prompt& prompt, const Stages& stages);

// Throws kInvalidArgument, naming `where`, for ids outside the vocabulary.
void check_ids(std::span<const TokenId> ids, const Decoder& decoder, const char* where);

}  // namespace precis
