// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizers/regex.h"

namespace precis {

// Treatment of the matches of an expression that splits a text.
enum class SplitBehavior : uint8_t {
  kRemoved,             // dropped
  kIsolated,            // words of their own
  kMergedWithPrevious,  // the end of the previous word
  kMergedWithNext,      // the beginning of the next word
  kContiguous,          // words of their own; adjacent matches are one word
};

// The "Split" step of a tokenizer.json: splits a text at the matches of a regular expression. With
// `invert` the roles of matches and the text between them are exchanged.
class RegexSplit {
 public:
  RegexSplit(Regex regex, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), behavior_(behavior), invert_(invert) {}

  // Appends the words of the text, as substrings of it, none of them empty. REQUIRES: valid UTF-8.
  void append_words(std::string_view text, std::vector<std::string_view>& words) const;

 private:
  Regex regex_;
  SplitBehavior behavior_;
  bool invert_;
};

}  // namespace precis
