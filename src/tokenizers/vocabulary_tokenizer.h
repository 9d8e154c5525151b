// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "tokenizers/added_tokens.h"
#include "tokenizers/vocabulary.h"

namespace precis {

// Components of every tokenizer: vocabulary, added tokens, which are matched before encoding, and
// special tokens.
struct TokenizerParts {
  Vocabulary vocabulary;
  AddedTokens added_tokens;
  SpecialTokens special_tokens;
  bool strip_leading_space = false;  // decoding drops the space that encoding prepends
};

// Base of all tokenizers with a vocabulary: trusted and untrusted runs, names, decoding.
class VocabularyTokenizer : public Tokenizer {
 public:
  int64_t vocab_size() const override { return parts_.vocabulary.size(); }
  const SpecialTokens& special_tokens() const override { return parts_.special_tokens; }
  std::vector<TokenId> encode(std::string_view text) const override;
  std::vector<TokenId> encode_runs(std::span<const TextRun> runs) const override;
  std::optional<TokenId> find(std::string_view token) const override;
  bool is_special(TokenId id) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special) const override;
  std::string token_bytes(TokenId id) const override;

 protected:
  explicit VocabularyTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}

  const Vocabulary& vocabulary() const { return parts_.vocabulary; }

  // Appends the ids of a text without added tokens. `at_start`: no token precedes it.
  // REQUIRES: valid UTF-8, not empty.
  virtual void append_ids(std::string_view text,
                          bool at_start,
                          std::vector<TokenId>& ids) const = 0;

 private:
  // REQUIRES: trusted ranges in order, without overlaps.
  std::vector<TokenId> encode_trusted(std::string_view text,
                                      std::span<const ByteRange> trusted) const;
  void check_id(TokenId id) const;

  TokenizerParts parts_;
};

}  // namespace precis
