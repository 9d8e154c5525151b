// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tokenizers/added_tokens.h"
#include "tokenizers/vocabulary.h"

namespace precis {

// Tokenizer settings in the other files of a model directory. All of them may be missing.
struct TokenizerSettings {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<std::string> chat_template;
  std::vector<AddedToken> added_tokens;  // the tokenizer's own file may have them, too
  std::vector<TokenId> stops;            // eos_token_id of the configuration files
  // For SentencePiece models: whether a space is prepended to a text, and to text after an added
  // token.
  bool space_at_start = true;
  bool space_behind_tokens = false;
};

// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json (of older models),
// config.json and generation_config.json, as far as they exist. Throws kBadWeights naming the file.
TokenizerSettings load_tokenizer_settings(const std::filesystem::path& directory);

// `fallback`, overridden by `settings`. Throws kBadWeights, naming `origin`, if a token has no id.
SpecialTokens apply_settings(const TokenizerSettings& settings,
                             const Vocabulary& vocabulary,
                             SpecialTokens fallback,
                             const std::string& origin);

}  // namespace precis
