// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/segment.h"
#include "prompt/layout.h"
#include "prompt/prompt_item.h"

namespace precis {

// A prompt as the decoder reads it: input embeddings, and what its cache sequence starts with.
struct SplicedPrompt {
  at::Tensor embeddings;                       // [n, hidden]
  at::Tensor positions;                        // [n] int64
  int64_t start = 0;                           // the first position
  std::shared_ptr<const SharedPrefix> prefix;  // tokens at the start of the cache; null: none
  std::vector<PlacedMemory> cached;            // memories that follow the prefix in the cache
  std::vector<TokenId> tokens;                 // all ids of the prompt, for the repetition penalty

  // Index of the first predicted id among those that follow the prompt: 1 if there are no inputs,
  // since a cached memory has no hidden state from which to predict id 0.
  int64_t first_scored() const { return embeddings.size(0) == 0 ? 1 : 0; }
  int64_t cache_length() const;  // cached tokens after reading the prompt
  int64_t num_computed_tokens()
      const;  // of these, tokens that the model computes, without cached memories
};

// The third stage: builds the tensors of a layout. Throws kInvalidArgument for memories and
// embeddings of another model's shape.
SplicedPrompt splice(const PromptLayout& layout, const Decoder& decoder);

// Throws kInvalidArgument if a prompt has no inputs: a cached memory has no hidden state from which
// the next token could be sampled.
void check_has_inputs(const PromptLayout& layout);

// lay_out(), check_has_inputs() and splice() in one.
SplicedPrompt splice(std::span<const PromptItem> items,
                     const Decoder& decoder,
                     std::shared_ptr<const SharedPrefix> prefix = nullptr,
                     int64_t to_follow = 0);

// The tokens of a memory at its place: rebased, without the sinks that are left out.
CachedTokens placed_tokens(const PlacedMemory& placed, const DecoderConfig& config);

// Whether a prompt starts with this prefix (null: none) and these memories, so that its cache
// sequence may be a copy of one that was started with them. Memories are compared by the addresses
// of their tensors, which whoever asks has to hold, and by their places.
bool starts_with(const SplicedPrompt& prompt,
                 const SharedPrefix* prefix,
                 std::span<const PlacedMemory> cached);

// Starts a cache sequence with the prefix and the cached memories of a prompt.
void preload(const SplicedPrompt& prompt, const Decoder& decoder, KvCache& cache, int64_t sequence);

}  // namespace precis
