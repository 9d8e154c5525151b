// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/segment.h"
#include "prompt/prompt_part.h"

namespace precis {

// A prompt as the decoder reads it: rows after what its cache starts with.
struct SplicedPrompt {
  at::Tensor embeddings;  // [n, hidden]
  at::Tensor positions;   // [n] int64
  int64_t start = 0;      // the first of them
  std::shared_ptr<const SharedPrefix>
      prefix;                        // tokens whose keys and values are there already; null: none
  std::vector<CachedTokens> cached;  // memories behind the prefix, in front of everything else
  std::vector<TokenId> tokens;       // all token ids of the prompt, for the repetition penalty

  int64_t num_rows() const;       // that attention sees: prefix and cached memories too
  int64_t num_rows_read() const;  // by the model: all but cached memories
};

// The third stage: token rows and memory rows in one sequence. Every part is kept text or a memory
// by now. `prefix`, if any, is what the first parts start with; its tokens are left out of the
// rows. Cached memories keep their positions where they stand first; behind tokens, which then
// become the prefix, and behind each other they are moved. Throws kInvalidArgument for a cached
// memory behind anything else, for rows of another hidden size, and for positions, with `to_follow`
// more, that go beyond the model's window: after a cached memory they go on where its text ended.
SplicedPrompt splice(std::span<const PromptPart> parts,
                     const Decoder& decoder,
                     std::shared_ptr<const SharedPrefix> prefix = nullptr,
                     int64_t to_follow = 0);

// Starts a cache sequence with what the prompt takes as read.
void preload(const SplicedPrompt& prompt, const Decoder& decoder, KvCache& cache, int64_t sequence);

}  // namespace precis
