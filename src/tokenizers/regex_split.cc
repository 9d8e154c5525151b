// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex_split.h"

namespace precis {
namespace {

struct Stretch {
  ByteRange range;
  bool is_match;
};

// The matches and the ranges between them, in order; concatenated they are the text.
std::vector<Stretch> stretches_of(std::string_view text,
                                  const std::vector<ByteRange>& matches,
                                  bool invert) {
  std::vector<Stretch> stretches;
  size_t end = 0;
  for (const ByteRange match : matches) {
    if (match.begin != end) stretches.push_back({{end, match.begin}, invert});
    stretches.push_back({match, !invert});
    end = match.end;
  }
  if (end != text.size()) stretches.push_back({{end, text.size()}, invert});
  return stretches;
}

// Whether a range belongs to the same word as the one before it.
bool joins_previous(SplitBehavior behavior, bool previous_is_match, bool is_match) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious:
      return is_match && !previous_is_match;
    case SplitBehavior::kMergedWithNext:
      return !is_match && previous_is_match;
    case SplitBehavior::kContiguous:
      return is_match == previous_is_match;
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      return false;
  }
  return false;
}

std::vector<ByteRange> join(const std::vector<Stretch>& stretches, SplitBehavior behavior) {
  std::vector<ByteRange> words;
  bool previous_is_match = false;
  for (const auto& [range, is_match] : stretches) {
    if (is_match && behavior == SplitBehavior::kRemoved) continue;
    if (!words.empty() && joins_previous(behavior, previous_is_match, is_match)) {
      words.back().end = range.end;
    } else {
      words.push_back(range);
    }
    previous_is_match = is_match;
  }
  return words;
}

}  // namespace

void RegexSplit::append_words(std::string_view text, std::vector<std::string_view>& words) const {
  const std::vector<Stretch> stretches = stretches_of(text, regex_.find_all(text), invert_);
  for (const auto [begin, end] : join(stretches, behavior_)) {
    if (begin != end) words.push_back(text.substr(begin, end - begin));
  }
}

}  // namespace precis
