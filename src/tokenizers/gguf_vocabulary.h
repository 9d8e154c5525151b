// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "io/gguf.h"
#include "tokenizers/vocabulary_tokenizer.h"

namespace precis {

// Types of tokens, with the numbers of GGUF files.
enum class GgufTokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

// The tokens of a GGUF file, checked: as many types as names, known types, and at most
// Vocabulary::kMaxSize tokens. Their bytes are left empty.
struct GgufTokens {
  std::vector<Token> tokens;
  std::vector<GgufTokenType> types;
};
GgufTokens read_gguf_tokens(const GgufFile& file);

// The tokens of some types, to be matched in texts by their names.
std::vector<AddedToken> added_tokens_of(const GgufTokens& tokens,
                                        std::initializer_list<GgufTokenType> types);

// The value of a key that holds a token id. Throws kBadWeights if the vocabulary has no such id.
std::optional<TokenId> read_gguf_id(const GgufFile& file,
                                    std::string_view key,
                                    const GgufTokens& tokens);

// `add_bos_by_default`: add_bos if the file does not have the key.
SpecialTokens read_gguf_special_tokens(const GgufFile& file,
                                       const GgufTokens& tokens,
                                       bool add_bos_by_default);

// Throws kBadWeights if the key is absent.
std::vector<std::string_view> require_strings(const GgufFile& file, std::string_view key);

}  // namespace precis
