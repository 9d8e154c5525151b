// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/tokenizer.h"

namespace precis {

// A token that is cut out of the text before anything else happens to it.
struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool strip_left = false;   // takes the white space before it along
  bool strip_right = false;  // and the white space after it
  bool single_word = false;  // only where it is not a part of a longer word
  bool late = false;         // looked for only where the others have left text
};

struct ByteRange {
  size_t begin;
  size_t end;
};

// A stretch of text, or an added token in its place.
struct TextPiece {
  ByteRange range;
  std::optional<TokenId> token;
};

// Finds the longest of many texts that stands at a place.
class TextMatcher {
 public:
  explicit TextMatcher(std::vector<AddedToken> tokens);
  const AddedToken* longest_at(std::string_view text, ByteRange range) const;

 private:
  std::vector<AddedToken> tokens_;  // sorted by text
};

class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Cuts the text at the added tokens that lie wholly inside one of the `trusted` ranges, which are
  // in order and do not overlap. White space outside them is never stripped.
  std::vector<TextPiece> split(std::string_view text, std::span<const ByteRange> trusted) const;

 private:
  TextMatcher early_;
  TextMatcher late_;
};

}  // namespace precis
