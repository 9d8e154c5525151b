// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "precis/extend/segment.h"
#include "prompt/prompt_item.h"

// All rules about the order and positions of items in a prompt:
//
// - A prompt that starts with text starts with the tokenizer's BOS. Ids, memories and embeddings
//   are read as they are. Text that becomes a cached memory gets no BOS either: its compressor
//   reads the BOS that it wants.
// - Cached memories (CachedTokens) come before all inputs. Only kept tokens and other cached
//   memories may precede them; those tokens are read first, as the prefix.
// - A cached memory at the beginning keeps its positions. After other tokens it is rebased to the
//   next free position, and its attention sinks are left out unless it has no other tokens.
// - The inputs have consecutive positions, from 0, from the end of the prefix, or from
//   next_position of the last cached memory. They have to fit the model's context_length.
namespace precis {

// Whether a prompt with this first piece starts with the tokenizer's BOS. cached_memories: whether
// text to be compressed becomes cached memories (CompressorInfo::cached).
bool takes_bos(const Prompt::Piece& first, bool cached_memories);

// Removes an implied BOS before text that will be compressed into a cached memory: for
// Treatment::kContext this is known only after fit().
void remove_bos_before_cached(std::vector<PromptItem>& items, bool cached_memories);

// Checks, before anything is compressed, that a compressor's cached memories will be at places
// where they are allowed. Throws kInvalidArgument.
void check_cached_places(std::span<const PromptItem> items, const CompressorInfo& info);

// The kept tokens that a prompt starts with, for compressors that read them (Segment::prefix).
// Context is not part of it, compressed or not: SelfCP reads the instruction and one segment. Null:
// none.
std::shared_ptr<const SharedPrefix> kept_prefix(std::span<const PromptItem> items);

// Whether the last item is a memory or will become one.
bool ends_on_memory(std::span<const PromptItem> items);

// A cached memory and its positions in the prompt.
struct PlacedMemory {
  CachedTokens memory;         // before rebasing
  bool rebased = false;        // true unless it starts the prompt
  int64_t first_position = 0;  // of its first token
  int64_t num_left_out = 0;    // leading attention sinks that are left out

  int64_t next_position() const {
    return first_position + memory.next_position - memory.first_position;
  }
};

// The layout of a prompt: prefix and cached memories in the cache, followed by the inputs.
struct PromptLayout {
  std::shared_ptr<const SharedPrefix> prefix;  // null: none
  std::vector<PlacedMemory> cached;
  int64_t start = 0;  // position of the first input

  // The inputs, as Decoder::embed_spliced() takes them: input i is the token
  // input_ids[source_indices[i]], or, for source_indices[i] >= num_ids, embedding
  // source_indices[i] - num_ids of the concatenated input_embeddings.
  std::vector<TokenId> input_ids;            // [num_ids]
  std::vector<at::Tensor> input_embeddings;  // [n, hidden] each
  std::vector<int64_t> source_indices;       // [num_inputs]

  std::vector<TokenId> ids;  // all token ids of the prompt, prefix included

  int64_t num_inputs() const { return static_cast<int64_t>(source_indices.size()); }
};

// Lays out items: kept tokens, memories and embeddings. prefix: tokens that the items start with
// and whose keys and values are shared; null: none. to_follow: number of tokens that will follow
// the prompt. Throws kInvalidArgument for a cached memory after inputs, and for positions beyond
// the context length.
PromptLayout lay_out(std::span<const PromptItem> items,
                     const DecoderConfig& config,
                     std::shared_ptr<const SharedPrefix> prefix = nullptr,
                     int64_t to_follow = 0);

}  // namespace precis
