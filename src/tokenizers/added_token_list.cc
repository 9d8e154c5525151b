// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/added_token_list.h"

#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {

AddedToken read_added_token(TokenId id, const nlohmann::json& entry) {
  AddedToken token;
  token.id = id;
  token.text = entry.at("content").get<std::string>();
  token.strip_left = entry.value("lstrip", false);
  token.strip_right = entry.value("rstrip", false);
  token.single_word = entry.value("single_word", false);
  token.late = entry.value("normalized", false);
  token.special = entry.value("special", false);
  return token;
}

std::vector<AddedToken> with_known_ids(std::vector<AddedToken> added,
                                       const std::vector<Token>& tokens) {
  std::unordered_map<std::string_view, size_t> ids;
  if (!added.empty()) {
    for (size_t id = 0; id < tokens.size(); ++id) {
      if (tokens[id].role != TokenRole::kNone) ids.emplace(tokens[id].name, id);
    }
  }
  for (AddedToken& token : added) {
    const auto known = ids.find(token.text);
    if (known != ids.end()) token.id = static_cast<TokenId>(known->second);
  }
  return added;
}

void merge_added_tokens(std::vector<AddedToken>& tokens, const std::vector<AddedToken>& more) {
  std::unordered_map<TokenId, size_t> places;
  for (size_t i = 0; i < tokens.size(); ++i) places.emplace(tokens[i].id, i);
  for (const AddedToken& token : more) {
    const auto [place, is_new] = places.emplace(token.id, tokens.size());
    if (is_new) {
      tokens.push_back(token);
      continue;
    }
    AddedToken& known = tokens[place->second];
    const bool special = known.special || token.special;
    known = token;
    known.special = special;
  }
}

void place_added_tokens(const std::vector<AddedToken>& added,
                        std::vector<Token>& tokens,
                        const std::string& origin) {
  for (const AddedToken& entry : added) {
    check_token_id(entry.id, origin);
    const auto place = static_cast<size_t>(entry.id);
    if (place >= tokens.size()) tokens.resize(place + 1);
    Token& token = tokens[place];
    const bool is_new = token.role == TokenRole::kNone;
    PRECIS_CHECK(is_new || token.name == entry.text,
                 kBadWeights,
                 origin,
                 ": the added token ",
                 in_quotes(entry.text),
                 " has the id ",
                 entry.id,
                 " of ",
                 in_quotes(token.name));
    if (is_new) token = {entry.text, entry.text, TokenRole::kAdded};
    if (entry.special) token.role = TokenRole::kSpecial;
  }
}

void check_token_id(TokenId id, const std::string& origin) {
  PRECIS_CHECK(id >= 0 && id < Vocabulary::kMaxSize,
               kBadWeights,
               origin,
               ": a token id should be below ",
               Vocabulary::kMaxSize,
               ", is ",
               id);
}

}  // namespace precis
