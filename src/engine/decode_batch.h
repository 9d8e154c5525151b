// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "cache/block_pool.h"
#include "engine/beginnings.h"
#include "engine/sequence.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"
#include "precis/extend/tokenizer.h"

namespace precis {

struct DecodeStage {
  const Decoder& decoder;
  const Tokenizer* tokenizer;  // null: completions have ids and no text
};

// A sequence of a batch: its answer, and the part of its prompt that is not read yet.
struct BatchSequence {
  Sequence answer;
  at::Tensor embeddings;  // [n, hidden] inputs of the prompt that are not read; undefined: none
  at::Tensor positions;   // [n] int64
  std::shared_ptr<const Beginning> beginning;  // null: the prompt has none

  int64_t num_unread() const { return embeddings.defined() ? embeddings.size(0) : 0; }
};

// The next tokens of a prompt.
struct PromptChunk {
  BatchSequence* sequence;
  int64_t count;  // 1 to sequence->num_unread()
};

// Sequences that are decoded together, each with options of its own. They join and leave between
// calls; a step reads one token of each decoding sequence in one pass. An error of a pass fails the
// sequences that it reads. Borrows decoder and tokenizer; not safe for use from several threads at
// once.
class DecodeBatch {
 public:
  explicit DecodeBatch(const DecodeStage& stage);

  // Adds a sequence, whose prompt read() then reads. `start`: see Sequence. Valid until leave().
  // Throws as preload().
  BatchSequence& join(const DecodeRequest& request, Sequence::Clock::time_point start);
  // Removes a sequence in any state. Its blocks return to the pool at once, unless others share
  // them.
  void leave(BatchSequence& sequence);

  // Reads the next tokens of several prompts in one pass. REQUIRES: a sequence at most once.
  void read(std::span<const PromptChunk> chunks);
  // Draws the first token of each sequence whose prompt was read to its end since the last call.
  void draw_first_tokens();

  bool is_decoding() const { return !running_.empty(); }
  // Reads the last token of each decoding sequence and draws the next. REQUIRES: is_decoding().
  void step();

  int64_t blocks_in_use() const { return pool_->blocks_in_use(); }
  // Blocks that sequences share as their beginnings.
  int64_t shared_blocks() const { return beginnings_.blocks(); }

 private:
  int64_t free_cache_sequence();
  at::Tensor read_chunks(std::span<const PromptChunk> chunks);
  at::Tensor read_last_tokens(std::span<BatchSequence* const> sequences);
  void draw(std::span<BatchSequence* const> sequences, const at::Tensor& hidden);

  DecodeStage stage_;
  int64_t vocab_size_;          // of the tokenizer, if there is one
  std::set<TokenId> stop_ids_;  // of the model
  std::shared_ptr<BlockPool> pool_;
  KvCache cache_;
  KvCache empty_;              // one sequence without tokens
  std::vector<int64_t> free_;  // unused sequences of the cache
  Beginnings beginnings_;
  std::list<BatchSequence> sequences_;
  std::vector<BatchSequence*> running_;   // that have a first token and go on
  std::vector<BatchSequence*> first_;     // whose prompts are read, without a first token
  std::vector<at::Tensor> first_hidden_;  // final hidden states of their last inputs, [n, hidden]
};

}  // namespace precis
