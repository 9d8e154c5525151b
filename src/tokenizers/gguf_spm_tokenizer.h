// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "tokenizers/greedy_merge.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace precis {

// A SentencePiece BPE vocabulary: adjacent symbols are merged into the token with the best score;
// characters without a token become byte tokens. User-defined tokens are matched in any text.
class GgufSpmTokenizer : public VocabularyTokenizer {
 public:
  struct Rules {
    std::vector<float> scores;  // one for each token
    std::vector<AddedToken> user_defined;
    TokenId unknown = 0;
    bool add_space_prefix = true;
  };
  GgufSpmTokenizer(TokenizerParts parts, Rules rules);

 protected:
  void append_ids(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override;

 private:
  void append_merged(std::string_view escaped, std::vector<TokenId>& ids) const;
  void append_bytes(std::string_view character, std::vector<TokenId>& ids) const;

  std::vector<float> scores_;
  AddedTokens user_defined_;
  TokenId unknown_;
  bool add_space_prefix_;
  std::array<TokenId, 256> byte_ids_;
};

}  // namespace precis
