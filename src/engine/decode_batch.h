// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <set>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "precis/completion.h"
#include "precis/extend/decoder.h"
#include "precis/extend/kv_cache.h"
#include "precis/extend/tokenizer.h"

namespace precis {

struct DecodeStage {
  const Decoder& decoder;
  const Tokenizer* tokenizer;  // null: completions have ids and no text
};

// Sequences that are decoded together, each with options of its own. Sequences join between steps
// and leave as they finish: a step reads one token of each running sequence in one pass. Borrows
// decoder and tokenizer; not safe for use from several threads at once.
class DecodeBatch {
 public:
  // Has room for `num_sequences` in its cache.
  DecodeBatch(const DecodeStage& stage, int64_t num_sequences);

  // Reads the prompts and draws the first token of each. REQUIRES: room for them.
  void add(std::span<const DecodeRequest> requests);
  bool is_running() const { return !running_.empty(); }
  // Reads the last token of each running sequence and draws the next. REQUIRES: is_running().
  void step();

  // Of all sequences, in the order in which they were added.
  std::vector<Completion> take_completions();

 private:
  at::Tensor read_prompts(std::span<const DecodeRequest> requests, int64_t first_sequence);
  at::Tensor read_last_tokens(std::span<Sequence* const> sequences);
  void draw(std::span<Sequence* const> sequences, const at::Tensor& hidden);

  DecodeStage stage_;
  int64_t vocab_size_;          // of the tokenizer, if there is one
  std::set<TokenId> stop_ids_;  // of the model
  KvCache cache_;
  std::deque<Sequence> sequences_;
  std::vector<Sequence*> running_;
};

}  // namespace precis
