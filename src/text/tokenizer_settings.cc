// SPDX-License-Identifier: Apache-2.0
#include "text/tokenizer_settings.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/json_file.h"

namespace precis {
namespace {

using nlohmann::json;

// A token is written as its name, or as an object that holds the name as "content".
std::optional<std::string> token_name(const json& config, const char* key) {
  const auto token = config.find(key);
  if (token == config.end() || token->is_null()) return std::nullopt;
  return (token->is_object() ? token->at("content") : *token).get<std::string>();
}

std::optional<bool> flag(const json& config, const char* key) {
  const auto value = config.find(key);
  if (value == config.end() || value->is_null()) return std::nullopt;
  return value->get<bool>();
}

// One template, or several by name.
std::optional<std::string> chat_template(const json& config) {
  const auto value = config.find("chat_template");
  if (value == config.end() || value->is_null()) return std::nullopt;
  if (!value->is_array()) return value->get<std::string>();
  for (const json& named : *value) {
    if (named.at("name") == "default") return named.at("template").get<std::string>();
  }
  return std::nullopt;
}

void assign_token(std::optional<TokenId>& id,
                  const std::optional<std::string>& name,
                  const Vocabulary& vocabulary,
                  const std::string& origin) {
  if (!name) return;
  id = vocabulary.find(*name);
  PRECIS_CHECK(
      id, kBadWeights, origin, ": there is no token ", in_quotes(*name), " for bos or eos");
}

}  // namespace

TokenizerSettings load_tokenizer_settings(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  const json config = read_json(path);
  PRECIS_CHECK(config.is_object(), kBadWeights, path.string(), ": not a JSON object");
  try {
    TokenizerSettings settings;
    settings.bos_token = token_name(config, "bos_token");
    settings.eos_token = token_name(config, "eos_token");
    settings.add_bos = flag(config, "add_bos_token");
    settings.add_eos = flag(config, "add_eos_token");
    settings.chat_template = chat_template(config);
    return settings;
  } catch (const json::exception& error) {
    fail(ErrorKind::kBadWeights, path.string(), ": ", error.what());
  }
}

SpecialTokens apply_settings(const TokenizerSettings& settings,
                             const Vocabulary& vocabulary,
                             SpecialTokens fallback,
                             const std::string& origin) {
  SpecialTokens special = fallback;
  assign_token(special.bos, settings.bos_token, vocabulary, origin);
  assign_token(special.eos, settings.eos_token, vocabulary, origin);
  special.add_bos = settings.add_bos.value_or(special.add_bos) && special.bos;
  special.add_eos = settings.add_eos.value_or(special.add_eos) && special.eos;
  return special;
}

}  // namespace precis
