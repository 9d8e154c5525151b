// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// A tokenizer.model made safe to hand to the SentencePiece library, which trusts its files.
struct SentencePieceModel {
  std::string serialized;
  bool adds_dummy_prefix = true;  // a space goes in front of every text
};

// Throws kBadWeights, naming `origin`, if the message is damaged, or kUnsupported if the model
// marks words at their ends.
SentencePieceModel check_sentencepiece_model(std::string_view bytes, const std::string& origin);

}  // namespace precis
