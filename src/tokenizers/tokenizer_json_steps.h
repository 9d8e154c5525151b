// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/pre_tokenizer.h"

namespace precis {

// The steps of "normalizer" and "pre_tokenizer" of a tokenizer.json. All functions throw
// kUnsupported naming a step that Precis lacks, kBadWeights for a malformed regular expression, or
// nlohmann::json::exception.
struct TextSteps {
  std::vector<NormalizerStep> normalizer;
  std::vector<SplitStep> splits;
  bool byte_level = false;             // has the ByteLevel step
  std::vector<SplitStep> byte_splits;  // after it
};
TextSteps read_text_steps(const nlohmann::json& file, const std::string& origin);

// The steps of "decoder".
struct DecoderSteps {
  bool byte_level = false;
  bool unescape_spaces = false;
  bool strip_leading_space = false;
};
DecoderSteps read_decoder_steps(const nlohmann::json& file, const std::string& origin);

// The tokens that "post_processor" adds before and after a text: at most one each.
struct TokensAround {
  std::optional<TokenId> before;
  std::optional<TokenId> after;
};
TokensAround read_tokens_around(const nlohmann::json& file, const std::string& origin);

}  // namespace precis
