// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizers/greedy_merge.h"

namespace precis {

// One merge of a byte pair encoding; its rank is its index in the list.
struct MergeRule {
  TokenId left;
  TokenId right;
  TokenId merged;
};

// The merges of a byte pair encoding, by pair. Immutable.
class MergeTable {
 public:
  explicit MergeTable(std::span<const MergeRule> rules);

  // Merges the tokens of one word, the lowest rank first, until no merge applies. Symbol::kUnknown
  // is never merged.
  void apply(std::vector<TokenId>& word) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Entry {
    uint32_t left = 0;
    uint32_t right = 0;
    uint32_t rank = kNoRank;  // kNoRank: an empty slot
    uint32_t merged = 0;
  };

  const Entry& find(TokenId left, TokenId right) const;
  size_t slot_of(uint32_t left, uint32_t right) const;
  void apply_to_short(std::vector<TokenId>& word) const;
  void apply_to_long(std::vector<TokenId>& word) const;

  std::vector<Entry> entries_;  // open addressing; a power of two, at most half full
};

}  // namespace precis
