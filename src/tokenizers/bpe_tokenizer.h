// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizers/merge_table.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/pre_tokenizer.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace precis {

// The initial symbols of a byte pair encoding, before merges.
enum class BpeAlphabet {
  kBytes,                   // bytes, written in GPT-2's byte alphabet
  kCharacters,              // characters; one without a token is unknown
  kCharactersWithFallback,  // characters; one without a token becomes its bytes, "<0x0A>"
};

struct BpeRules {
  BpeAlphabet alphabet = BpeAlphabet::kBytes;
  bool ignore_merges = false;      // a word that is a token as a whole is not merged
  bool fuse_unknown = false;       // consecutive unknown characters become one token
  std::optional<TokenId> unknown;  // none: characters without a token are dropped
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
};

// Byte pair encoding as in Hugging Face's tokenizers: normalise, split into words, merge.
class BpeTokenizer : public VocabularyTokenizer {
 public:
  BpeTokenizer(TokenizerParts parts, BpeRules rules, const std::vector<MergeRule>& merges);

 protected:
  void append_ids(std::string_view text, bool at_start, std::vector<TokenId>& ids) const override;

 private:
  void append_word(std::string_view word, std::vector<TokenId>& ids) const;
  std::optional<TokenId> whole_word(std::string_view word) const;
  void split_into_bytes(std::string_view word, std::vector<TokenId>& symbols) const;
  void split_into_characters(std::string_view word, std::vector<TokenId>& symbols) const;
  bool append_fallback(std::string_view character, std::vector<TokenId>& symbols) const;
  void append_unknown(bool after_unknown, std::vector<TokenId>& symbols) const;

  BpeRules rules_;
  MergeTable merges_;
  std::array<TokenId, 256>
      byte_ids_;  // the token of each byte, Symbol::kUnknown where there is none
};

}  // namespace precis
