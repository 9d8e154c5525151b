// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

// Decodes ids one by one, in whole characters. The results of push() and finish(), concatenated,
// equal decode() of all ids with special tokens skipped.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  // The new complete characters, possibly none.
  std::string push(TokenId id);
  // The remaining text: an incomplete character at the end becomes U+FFFD.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;   // bytes of an incomplete character
  bool at_start_ = true;  // decode() may strip a leading space from the first token
};

}  // namespace precis
