// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/merge_table.h"

#include <algorithm>
#include <array>
#include <bit>

namespace precis {
namespace {

// Up to this length, searching all pairs after each merge is faster than a priority queue.
constexpr size_t kShortWord = 32;

template <typename T>
void remove_at(T* values, size_t index, size_t size) {
  std::copy(values + index + 1, values + size, values + index);
}

}  // namespace

MergeTable::MergeTable(std::span<const MergeRule> rules)
    : entries_(std::bit_ceil(2 * rules.size() + 2)) {
  for (size_t rank = 0; rank < rules.size(); ++rank) {
    const auto left = static_cast<uint32_t>(rules[rank].left);
    const auto right = static_cast<uint32_t>(rules[rank].right);
    // If a pair is listed twice, the last rank counts, as in Hugging Face's tokenizers.
    entries_[slot_of(left, right)] = {
        left, right, static_cast<uint32_t>(rank), static_cast<uint32_t>(rules[rank].merged)};
  }
}

// Slot of the pair, or the empty slot for it.
size_t MergeTable::slot_of(uint32_t left, uint32_t right) const {
  const uint64_t mixed = (uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u;
  const size_t mask = entries_.size() - 1;
  size_t at = static_cast<size_t>(mixed >> 32) & mask;
  while (entries_[at].rank != kNoRank &&
         (entries_[at].left != left || entries_[at].right != right)) {
    at = (at + 1) & mask;
  }
  return at;
}

// Returns an entry of rank kNoRank if the pair does not merge. Symbol::kUnknown, truncated to 32
// bits, is not an id of any rule.
const MergeTable::Entry& MergeTable::find(TokenId left, TokenId right) const {
  return entries_[slot_of(static_cast<uint32_t>(left), static_cast<uint32_t>(right))];
}

void MergeTable::apply(std::vector<TokenId>& word) const {
  if (word.size() < 2) return;
  word.size() <= kShortWord ? apply_to_short(word) : apply_to_long(word);
}

void MergeTable::apply_to_short(std::vector<TokenId>& word) const {
  std::array<const Entry*, kShortWord> pairs;  // pairs[i]: the merge of word[i] and word[i + 1]
  size_t num_pairs = word.size() - 1;
  for (size_t i = 0; i < num_pairs; ++i) pairs[i] = &find(word[i], word[i + 1]);
  while (num_pairs > 0) {
    size_t best = 0;
    for (size_t i = 1; i < num_pairs; ++i) {
      if (pairs[i]->rank < pairs[best]->rank) best = i;
    }
    if (pairs[best]->rank == kNoRank) break;
    word[best] = pairs[best]->merged;
    remove_at(word.data(), best + 1, num_pairs + 1);
    remove_at(pairs.data(), best, num_pairs);
    --num_pairs;
    if (best > 0) pairs[best - 1] = &find(word[best - 1], word[best]);
    if (best < num_pairs) pairs[best] = &find(word[best], word[best + 1]);
  }
  word.resize(num_pairs + 1);
}

void MergeTable::apply_to_long(std::vector<TokenId>& word) const {
  std::vector<Symbol> symbols(word.size());
  for (size_t i = 0; i < word.size(); ++i) symbols[i] = {word[i], i, i + 1};
  const auto find_merge = [this](const Symbol& left, const Symbol& right) -> std::optional<Merge> {
    const Entry& entry = find(left.id, right.id);
    if (entry.rank == kNoRank) return std::nullopt;
    return Merge{static_cast<double>(entry.rank), entry.merged};
  };
  GreedyMerge(symbols, find_merge).run();
  word.resize(symbols.size());
  std::transform(
      symbols.begin(), symbols.end(), word.begin(), [](const Symbol& s) { return s.id; });
}

}  // namespace precis
