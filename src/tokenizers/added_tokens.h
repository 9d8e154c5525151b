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

// A token that is matched in the text before normalisation and splitting: special tokens in trusted
// text only, others in any text.
struct AddedToken {
  TokenId id = 0;
  std::string text;
  bool special = false;
  bool strip_left = false;   // includes the white space before it
  bool strip_right = false;  // and the white space after it
  bool single_word = false;  // not matched inside a longer word
  bool late = false;         // matched after the others, in the text between them
};

// A range of text, with the added token that it matches, if any.
struct TextPiece {
  ByteRange range;
  std::optional<TokenId> token;
};

// Finds the longest token that begins at a position of a text.
class TokenMatcher {
 public:
  explicit TokenMatcher(std::vector<AddedToken> tokens);

  // The longest token that begins at range.begin and ends in the range; a special token must end at
  // `special_end` or before. nullptr if there is none.
  const AddedToken* longest_at(std::string_view text, ByteRange range, size_t special_end) const;

 private:
  std::vector<AddedToken> tokens_;     // sorted by text
  std::array<bool, 256> begins_ = {};  // whether a token begins with this byte
};

class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  // Splits the text at its added tokens. Special tokens are matched only inside one of the
  // `trusted` ranges, which are in order and do not overlap, and strip no white space outside it.
  std::vector<TextPiece> split(std::string_view text, std::span<const ByteRange> trusted) const;

 private:
  TokenMatcher early_;
  TokenMatcher late_;
};

}  // namespace precis
