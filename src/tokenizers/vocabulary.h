// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "precis/extend/tokenizer.h"

namespace precis {

enum class TokenRole : uint8_t {
  kNone,     // an id that no token has: a hole in the file's numbering
  kText,     // may come out of any text
  kByte,     // stands for one byte where no text token does
  kAdded,    // never merged out of text, but found in any, and shown like text
  kSpecial,  // only recognised in trusted text, and not shown
};

struct Token {
  std::string name;   // as the file spells it
  std::string bytes;  // what it adds to a decoded text
  TokenRole role = TokenRole::kNone;
};

// The tokens of a model by id and by name. Immutable.
class Vocabulary {
 public:
  // No more ids than this, so that one huge id in a damaged file does not ask for all memory.
  static constexpr int64_t kMaxSize = 1 << 21;

  // Throws kBadWeights, naming `origin`, if there is no token or two have the same name.
  Vocabulary(std::vector<Token> tokens, const std::string& origin);
  Vocabulary(Vocabulary&&) = default;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  const Token& operator[](TokenId id) const { return tokens_[static_cast<size_t>(id)]; }
  std::optional<TokenId> find(std::string_view name) const;

  // As find, but only tokens that may come out of untrusted text.
  std::optional<TokenId> find_text(std::string_view name) const;

 private:
  std::vector<Token> tokens_;
  std::unordered_map<std::string_view, TokenId> ids_;  // the keys lie in tokens_
};

}  // namespace precis
