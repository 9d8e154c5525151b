// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

// Turns ids that arrive one by one into text, a whole number of characters at a time. The pieces
// that push() and finish() return, joined, equal decode() of all ids with special tokens skipped.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  // The text that is now certain: complete UTF-8, possibly empty.
  std::string push(TokenId id);
  // What is left: an incomplete character at the very end becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;   // bytes of an incomplete character
  bool at_start_ = true;  // decode() may strip a leading space from the first token
};

}  // namespace precis
