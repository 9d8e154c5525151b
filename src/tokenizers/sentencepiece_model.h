// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace precis {

// A tokenizer.model after the checks that the SentencePiece library, which trusts its files, does
// not make.
struct SentencePieceModel {
  std::string serialized;
  std::string serialized_without_space;  // the same, but no space goes in front
  bool adds_dummy_prefix = true;         // a space goes in front of every text
};

// The pieces with these names become control pieces, which never come out of a text. Throws
// kBadWeights, naming `origin`, if the message is damaged, or kUnsupported if the model marks words
// at their ends.
SentencePieceModel check_sentencepiece_model(std::string_view bytes,
                                             const std::set<std::string, std::less<>>& control,
                                             const std::string& origin);

}  // namespace precis
