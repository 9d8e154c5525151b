// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "tokenizers/byte_range.h"

namespace precis {

// A token that is matched in the text before normalisation and splitting: a special one in trusted
// text only, others in any text.
struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool special = false;
  bool strip_left = false;   // takes the white space before it along
  bool strip_right = false;  // and the white space after it
  bool single_word = false;  // only where it is not a part of a longer word
  bool late = false;         // looked for only where the others have left text
};

// A stretch of text, or an added token in its place.
struct TextPiece {
  ByteRange range;
  std::optional<TokenId> token;
};

// Finds the longest token that begins at a position of a text.
class TokenMatcher {
 public:
  explicit TokenMatcher(std::vector<AddedToken> tokens);

  // The token that begins at range.begin and ends in the range, a special one at the latest at
  // `special_end`; nullptr if there is none.
  const AddedToken* longest_at(std::string_view text, ByteRange range, size_t special_end) const;

 private:
  std::vector<AddedToken> tokens_;     // sorted by text
  std::array<bool, 256> begins_ = {};  // the bytes that a token begins with
};

class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Cuts the text at its added tokens. Special ones are found only where they lie wholly inside one
  // of the `trusted` ranges, which are in order and do not overlap; they strip no white space
  // outside.
  std::vector<TextPiece> split(std::string_view text, std::span<const ByteRange> trusted) const;

 private:
  TokenMatcher early_;
  TokenMatcher late_;
};

}  // namespace precis
