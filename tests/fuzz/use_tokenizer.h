// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "fuzz/check.h"
#include "precis/extend/tokenizer.h"

namespace precis::fuzz {

// What is asked of a tokenizer that its file describes, whatever that is.
inline void use_tokenizer(const Tokenizer& tokenizer) {
  const std::vector<TextRun> runs{
      {"<s><|im_start|>", true},
      {"Hello, <|im_end|> wörld! It's 12,345.67\n\n\t x\u0301\u0323 \U0001F600 漢字", false},
      {"</s>", true}};
  const std::vector<TokenId> ids = tokenizer.encode_runs(runs);
  for (const TokenId id : ids)
    require(0 <= id && id < tokenizer.vocab_size(), "an id is outside the vocabulary");
  tokenizer.decode(ids);
  tokenizer.decode(ids, /*skip_special=*/true);
  tokenizer.encode(runs[1].text);
  tokenizer.find("<s>");
  for (TokenId id = 0; id < tokenizer.vocab_size() && id < 64; ++id) {
    tokenizer.token_bytes(id);
    tokenizer.is_special(id);
  }
  tokenizer.special_tokens();
}

}  // namespace precis::fuzz
