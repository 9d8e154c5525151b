// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Tokens that stand before a segment and that a compressor may read, with their keys and values:
// computed by the first who asks, once, then shared by every compression pass and by generation.
// One request owns it; not safe for use from several threads at once.
class SharedPrefix {
 public:
  explicit SharedPrefix(std::vector<TokenId> tokens) : tokens_(std::move(tokens)) {}

  const std::vector<TokenId>& tokens() const { return tokens_; }
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }

  // One sequence of size() rows at positions 0 .. size() - 1.
  const KvCache& keys_and_values(const Decoder& decoder) const;

 private:
  std::vector<TokenId> tokens_;
  mutable std::unique_ptr<KvCache> cache_;
};

// A run of tokens to be compressed into one memory.
struct Segment {
  std::vector<TokenId> tokens;
  std::shared_ptr<const SharedPrefix> prefix;  // null: none
  // Whether passes under gradients that read it set DecoderInput::recompute_activations. Of several
  // segments in one pass, one is enough.
  bool recompute_activations = false;
};

}  // namespace precis
