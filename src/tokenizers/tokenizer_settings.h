// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tokenizers/added_tokens.h"
#include "tokenizers/vocabulary.h"

namespace precis {

// What the files of a model directory say beside the tokenizer itself. All of it may be missing.
struct TokenizerSettings {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<std::string> chat_template;
  std::vector<AddedToken> added_tokens;  // the tokenizer's own file may hold them, too
  std::vector<TokenId> stops;            // eos_token_id of the configuration files
  // Of SentencePiece models: whether a space goes in front of a text, and of what stands behind an
  // added token.
  bool space_at_start = true;
  bool space_behind_tokens = false;
};

// Reads tokenizer_config.json with what older models have in its place (special_tokens_map.json,
// added_tokens.json), config.json and generation_config.json, as far as they are there. Throws
// kBadWeights naming the file.
TokenizerSettings load_tokenizer_settings(const std::filesystem::path& directory);

// `fallback` with everything that `settings` decides. Throws kBadWeights, naming `origin`, if a
// token has no id.
SpecialTokens apply_settings(const TokenizerSettings& settings,
                             const Vocabulary& vocabulary,
                             SpecialTokens fallback,
                             const std::string& origin);

}  // namespace precis
