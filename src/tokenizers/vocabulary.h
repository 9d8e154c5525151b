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
  kText,     // may be produced from any text
  kByte,     // one byte, the fallback for characters without a token
  kAdded,    // never produced by merges, but matched in any text; decoded like text
  kSpecial,  // matched in trusted text only; skipped in decoded text
};

struct Token {
  std::string name;   // as the file spells it
  std::string bytes;  // its part of a decoded text
  TokenRole role = TokenRole::kNone;
};

// The tokens of a model by id and by name. Immutable.
class Vocabulary {
 public:
  // Limit of ids, so that one huge id in a damaged file does not allocate all memory.
  static constexpr int64_t kMaxSize = 1 << 21;

  // Throws kBadWeights, naming `origin`, if there is no token or two have the same name.
  Vocabulary(std::vector<Token> tokens, const std::string& origin);
  Vocabulary(Vocabulary&&) = default;

  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  const Token& operator[](TokenId id) const { return tokens_[static_cast<size_t>(id)]; }
  std::optional<TokenId> find(std::string_view name) const;

  // As find, but only tokens that untrusted text may produce.
  std::optional<TokenId> find_text(std::string_view name) const;

 private:
  std::vector<Token> tokens_;
  std::unordered_map<std::string_view, TokenId> ids_;  // keys point into tokens_
};

}  // namespace precis
