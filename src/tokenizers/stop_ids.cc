// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/stop_ids.h"

#include <array>

namespace precis {

std::set<TokenId> stop_ids(const Tokenizer& tokenizer) {
  constexpr std::array kNames{
      "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>"};
  const SpecialTokens& special = tokenizer.special_tokens();
  std::set<TokenId> ids(special.stops.begin(), special.stops.end());
  if (special.eos) ids.insert(*special.eos);
  for (const char* name : kNames) {
    const auto id = tokenizer.find(name);
    if (id && tokenizer.is_special(*id)) ids.insert(*id);
  }
  return ids;
}

}  // namespace precis
