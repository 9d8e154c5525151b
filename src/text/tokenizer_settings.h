// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "text/vocabulary.h"

namespace precis {

// What a tokenizer_config.json says beside the tokenizer itself. All of it may be missing.
struct TokenizerSettings {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  std::optional<std::string> chat_template;
};

// Reads the file if it is there. Throws kBadWeights naming it.
TokenizerSettings load_tokenizer_settings(const std::filesystem::path& path);

// `fallback` with everything that `settings` decides. Throws kBadWeights, naming `origin`, if a
// token has no id.
SpecialTokens apply_settings(const TokenizerSettings& settings,
                             const Vocabulary& vocabulary,
                             SpecialTokens fallback,
                             const std::string& origin);

}  // namespace precis
