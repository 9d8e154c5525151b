// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tokenizers/greedy_merge.h"

namespace precis {

// One line of a byte pair encoding's merges; its rank is its place in the list.
struct MergeRule {
  TokenId left;
  TokenId right;
  TokenId merged;
};

// The merges of a byte pair encoding, by pair. Immutable.
class MergeTable {
 public:
  explicit MergeTable(std::span<const MergeRule> rules);

  // Joins the neighbours of one word until no merge applies, the lowest rank first. Entries of
  // Symbol::kUnknown never join.
  void apply(std::vector<TokenId>& word) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Entry {
    uint32_t left = 0;
    uint32_t right = 0;
    uint32_t rank = kNoRank;  // kNoRank: an empty place
    uint32_t merged = 0;
  };

  const Entry& find(TokenId left, TokenId right) const;
  size_t place_of(uint32_t left, uint32_t right) const;
  void apply_to_short(std::vector<TokenId>& word) const;
  void apply_to_long(std::vector<TokenId>& word) const;

  std::vector<Entry> entries_;  // open addressing; a power of two, at most half full
};

}  // namespace precis
