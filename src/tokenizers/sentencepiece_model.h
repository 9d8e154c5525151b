// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace precis {

// A tokenizer.model that has passed the checks that the SentencePiece library leaves out, since it
// trusts its files.
struct SentencePieceModel {
  std::string serialized;
  std::string serialized_without_space;  // the same, without the dummy prefix
  bool adds_dummy_prefix = true;         // a space is prepended to every text
};

// Turns the pieces with these names into control pieces, which are never produced from text. Throws
// kBadWeights, naming `origin`, if the message is damaged, or kUnsupported if the model marks the
// ends of words.
SentencePieceModel check_sentencepiece_model(std::string_view bytes,
                                             const std::set<std::string, std::less<>>& control,
                                             const std::string& origin);

}  // namespace precis
