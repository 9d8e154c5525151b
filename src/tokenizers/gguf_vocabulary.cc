// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/gguf_vocabulary.h"

#include <algorithm>

#include "base/check.h"

namespace precis {
namespace {

TokenRole role_of(GgufTokenType type) {
  switch (type) {
    case GgufTokenType::kNormal:
    case GgufTokenType::kUnused:
      return TokenRole::kText;
    case GgufTokenType::kUnknown:
    case GgufTokenType::kControl:
      return TokenRole::kSpecial;
    case GgufTokenType::kUserDefined:
      return TokenRole::kAdded;
    case GgufTokenType::kByte:
      return TokenRole::kByte;
  }
  return TokenRole::kNone;
}

std::vector<GgufTokenType> read_types(const GgufFile& file, size_t num_tokens) {
  constexpr std::string_view kKey = "tokenizer.ggml.token_type";
  const auto numbers = file.integers(kKey);
  if (!numbers) return std::vector<GgufTokenType>(num_tokens, GgufTokenType::kNormal);
  PRECIS_CHECK(numbers->size() == num_tokens,
               kBadWeights,
               file.path().string(),
               ": ",
               kKey,
               " has ",
               numbers->size(),
               " entries, there are ",
               num_tokens,
               " tokens");
  std::vector<GgufTokenType> types;
  types.reserve(num_tokens);
  for (const int64_t number : *numbers) {
    types.push_back(static_cast<GgufTokenType>(number));
    PRECIS_CHECK(role_of(types.back()) != TokenRole::kNone,
                 kBadWeights,
                 file.path().string(),
                 ": unknown token type ",
                 number);
  }
  return types;
}

}  // namespace

std::vector<std::string_view> require_strings(const GgufFile& file, std::string_view key) {
  auto strings = file.strings(key);
  PRECIS_CHECK(strings, kBadWeights, file.path().string(), ": there is no ", key);
  return *std::move(strings);
}

GgufTokens read_gguf_tokens(const GgufFile& file) {
  const auto names = require_strings(file, "tokenizer.ggml.tokens");
  PRECIS_CHECK(names.size() <= static_cast<size_t>(Vocabulary::kMaxSize),
               kBadWeights,
               file.path().string(),
               ": a vocabulary of ",
               names.size(),
               " tokens");
  GgufTokens read;
  read.types = read_types(file, names.size());
  read.tokens.reserve(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    read.tokens.push_back({std::string(names[i]), {}, role_of(read.types[i])});
  }
  return read;
}

std::vector<AddedToken> added_tokens_of(const GgufTokens& tokens,
                                        std::initializer_list<GgufTokenType> types) {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens.tokens.size(); ++i) {
    if (std::find(types.begin(), types.end(), tokens.types[i]) == types.end()) continue;
    AddedToken token;
    token.id = static_cast<TokenId>(i);
    token.text = tokens.tokens[i].name;
    token.special = tokens.tokens[i].role == TokenRole::kSpecial;
    added.push_back(std::move(token));
  }
  return added;
}

std::optional<TokenId> read_gguf_id(const GgufFile& file,
                                    std::string_view key,
                                    const GgufTokens& tokens) {
  const auto id = file.integer(key);
  if (!id) return std::nullopt;
  PRECIS_CHECK(*id >= 0 && static_cast<size_t>(*id) < tokens.tokens.size(),
               kBadWeights,
               file.path().string(),
               ": ",
               key,
               " is ",
               *id,
               ", there are ",
               tokens.tokens.size(),
               " tokens");
  return id;
}

SpecialTokens read_gguf_special_tokens(const GgufFile& file,
                                       const GgufTokens& tokens,
                                       bool add_bos_by_default) {
  SpecialTokens special;
  special.bos = read_gguf_id(file, "tokenizer.ggml.bos_token_id", tokens);
  special.eos = read_gguf_id(file, "tokenizer.ggml.eos_token_id", tokens);
  for (const char* key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    if (const auto id = read_gguf_id(file, key, tokens)) special.stops.push_back(*id);
  }
  const bool add_bos = file.boolean("tokenizer.ggml.add_bos_token").value_or(add_bos_by_default);
  const bool add_eos = file.boolean("tokenizer.ggml.add_eos_token").value_or(false);
  special.add_bos = add_bos && special.bos;
  special.add_eos = add_eos && special.eos;
  return special;
}

}  // namespace precis
