// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/vocabulary.h"

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {

Vocabulary::Vocabulary(std::vector<Token> tokens, const std::string& origin)
    : tokens_(std::move(tokens)) {
  PRECIS_CHECK(!tokens_.empty(), kBadWeights, origin, ": the vocabulary is empty");
  PRECIS_CHECK(size() <= kMaxSize, kBadWeights, origin, ": a vocabulary of ", size(), " ids");
  ids_.reserve(tokens_.size());
  for (TokenId id = 0; id < size(); ++id) {
    const Token& token = (*this)[id];
    if (token.role == TokenRole::kNone) continue;
    const auto [other, is_new] = ids_.emplace(token.name, id);
    PRECIS_CHECK(is_new,
                 kBadWeights,
                 origin,
                 ": tokens ",
                 other->second,
                 " and ",
                 id,
                 " have the same name ",
                 in_quotes(token.name));
  }
}

std::optional<TokenId> Vocabulary::find(std::string_view name) const {
  const auto found = ids_.find(name);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::optional<TokenId> Vocabulary::find_text(std::string_view name) const {
  const auto id = find(name);
  return id && (*this)[*id].role == TokenRole::kText ? id : std::nullopt;
}

}  // namespace precis
