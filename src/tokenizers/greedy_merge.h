// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

// A range of a text, to be merged with its neighbours.
struct Symbol {
  static constexpr TokenId kUnknown = -1;

  TokenId id;  // kUnknown if no token has this spelling
  size_t begin;
  size_t end;
};

struct Merge {
  double priority;  // the smallest is merged first, of equal ones the leftmost
  TokenId id;
};

// Merges adjacent symbols in the order of priority until no merge is left. `find(left, right)`
// returns the merge of two adjacent symbols, if any. O(n log n) for n symbols.
template <typename Find>
class GreedyMerge {
 public:
  GreedyMerge(std::vector<Symbol>& symbols, Find find) : symbols_(&symbols), find_(find) {}

  void run() {
    link();
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      if (is_current(best)) join(best);
    }
    std::erase_if(*symbols_, [](const Symbol& symbol) { return symbol.begin == symbol.end; });
  }

 private:
  static constexpr size_t kNone = SIZE_MAX;

  struct Candidate {
    double priority;
    size_t left;  // index of the left symbol
    size_t end;   // end of the right symbol's text
    TokenId id;
    bool operator<(const Candidate& other) const {  // std::priority_queue puts the largest on top
      return priority != other.priority ? priority > other.priority : left > other.left;
    }
  };
  struct Links {
    size_t previous;
    size_t next;
  };

  Symbol& symbol(size_t index) { return (*symbols_)[index]; }

  void link() {
    const size_t count = symbols_->size();
    links_.resize(count);
    for (size_t i = 0; i < count; ++i)
      links_[i] = {i == 0 ? kNone : i - 1, i + 1 < count ? i + 1 : kNone};
    for (size_t i = 0; i + 1 < count; ++i) propose(i);
  }

  void propose(size_t left) {
    if (left == kNone || links_[left].next == kNone) return;
    const Symbol& right = symbol(links_[left].next);
    const std::optional<Merge> merge = find_(symbol(left), right);
    if (merge) queue_.push({merge->priority, left, right.end, merge->id});
  }

  // Symbols only grow to the right: a candidate is current if its left symbol still exists and its
  // right neighbour still ends where it did.
  bool is_current(const Candidate& candidate) {
    const size_t right = links_[candidate.left].next;
    const Symbol& left = symbol(candidate.left);
    return left.begin != left.end && right != kNone && symbol(right).end == candidate.end;
  }

  void join(const Candidate& candidate) {
    const size_t left = candidate.left;
    const size_t right = links_[left].next;
    symbol(left).id = candidate.id;
    symbol(left).end = candidate.end;
    symbol(right).begin = candidate.end;  // empty: merged into the left one
    links_[left].next = links_[right].next;
    if (links_[left].next != kNone) links_[links_[left].next].previous = left;
    propose(links_[left].previous);
    propose(left);
  }

  std::vector<Symbol>* symbols_;
  Find find_;
  std::vector<Links> links_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace precis
