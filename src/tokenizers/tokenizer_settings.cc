// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer_settings.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/json_file.h"
#include "tokenizers/added_token_list.h"

namespace precis {
namespace {

using nlohmann::json;

// The name of a token, given as a string or as an object with the name as "content".
std::string name_of(const json& token) {
  return (token.is_object() ? token.at("content") : token).get<std::string>();
}

std::optional<std::string> token_name(const json& config, const char* key) {
  const auto token = config.find(key);
  if (token == config.end() || token->is_null()) return std::nullopt;
  return name_of(*token);
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

bool is_given(const json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && !value->is_null();
}

// Passes the object of a JSON file to `read`, if the file exists.
template <typename Read>
void read_object(const std::filesystem::path& path, Read read) {
  std::error_code ignored;  // a file that cannot be accessed counts as missing
  if (!std::filesystem::exists(path, ignored)) return;
  const json object = read_json(path);
  PRECIS_CHECK(object.is_object(), kBadWeights, path.string(), ": not a JSON object");
  try {
    read(object);
  } catch (const json::exception& error) {
    fail(ErrorKind::kBadWeights, path.string(), ": ", error.what());
  } catch (const Error& error) {
    fail(error.kind(), path.string(), ": ", error.what());
  }
}

void read_bos_and_eos(const json& config, TokenizerSettings& settings) {
  if (auto name = token_name(config, "bos_token")) settings.bos_token = std::move(name);
  if (auto name = token_name(config, "eos_token")) settings.eos_token = std::move(name);
}

void read_tokenizer_config(const json& config, TokenizerSettings& settings) {
  read_bos_and_eos(config, settings);
  settings.add_bos = flag(config, "add_bos_token");
  settings.add_eos = flag(config, "add_eos_token");
  settings.chat_template = chat_template(config);
  settings.space_at_start = flag(config, "add_prefix_space").value_or(true);
  settings.space_behind_tokens = flag(config, "legacy").value_or(false);
}

// Adds the names of the tokens that a file lists as special.
void add_special_names(const json& config, std::set<std::string>& names) {
  for (const char* key : {"bos_token",
                          "eos_token",
                          "unk_token",
                          "sep_token",
                          "pad_token",
                          "cls_token",
                          "mask_token"}) {
    if (auto name = token_name(config, key)) names.insert(*std::move(name));
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (!is_given(config, key)) continue;
    for (const json& token : config.at(key)) names.insert(name_of(token));
  }
}

// {"600": {"content": "<|im_end|>", ...}}
std::vector<AddedToken> added_tokens_decoder(const json& config) {
  std::vector<AddedToken> tokens;
  for (const auto& [key, entry] :
       config.at("added_tokens_decoder").get_ref<const json::object_t&>()) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    PRECIS_CHECK(error == std::errc() && end == key.data() + key.size(),
                 kBadWeights,
                 "added_tokens_decoder has ",
                 in_quotes(key),
                 " in the place of an id");
    tokens.push_back(read_added_token(id, entry));
  }
  return tokens;
}

// {"<|im_end|>": 600}
std::vector<AddedToken> added_tokens_by_name(const json& names,
                                             const std::set<std::string>& special) {
  std::vector<AddedToken> tokens;
  for (const auto& [name, id] : names.get_ref<const json::object_t&>()) {
    AddedToken token;
    token.id = id.get<TokenId>();
    token.text = name;
    token.special = special.contains(name);
    token.late = !token.special;
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// One id or a list of ids.
void add_stops(const json& config, std::vector<TokenId>& stops) {
  constexpr const char* kKey = "eos_token_id";
  if (!is_given(config, kKey)) return;
  const json& value = config.at(kKey);
  for (const json& id : value.is_array() ? value : json::array({value})) {
    PRECIS_CHECK(id.is_number_integer(),
                 kBadWeights,
                 kKey,
                 " should be an id or a list of ids, is ",
                 in_quotes(value.dump(-1, ' ', true)));
    stops.push_back(id.get<TokenId>());
  }
}

}  // namespace

TokenizerSettings load_tokenizer_settings(const std::filesystem::path& directory) {
  TokenizerSettings settings;
  bool lists_tokens = false;
  std::set<std::string> special;
  read_object(directory / "tokenizer_config.json", [&](const json& config) {
    read_tokenizer_config(config, settings);
    lists_tokens = is_given(config, "added_tokens_decoder");
    if (lists_tokens) settings.added_tokens = added_tokens_decoder(config);
    add_special_names(config, special);
  });
  if (!lists_tokens) {
    read_object(directory / "special_tokens_map.json", [&](const json& map) {
      read_bos_and_eos(map, settings);
      add_special_names(map, special);
    });
    read_object(directory / "added_tokens.json", [&](const json& tokens) {
      settings.added_tokens = added_tokens_by_name(tokens, special);
    });
  }
  for (const char* name : {"generation_config.json", "config.json"}) {
    read_object(directory / name, [&](const json& config) { add_stops(config, settings.stops); });
  }
  return settings;
}

SpecialTokens apply_settings(const TokenizerSettings& settings,
                             const Vocabulary& vocabulary,
                             SpecialTokens fallback,
                             const std::string& origin) {
  SpecialTokens special = fallback;
  assign_token(special.bos, settings.bos_token, vocabulary, origin);
  assign_token(special.eos, settings.eos_token, vocabulary, origin);
  // Ids outside the vocabulary are dropped, since they are never sampled.
  for (const TokenId id : settings.stops) {
    if (vocabulary.contains(id)) special.stops.push_back(id);
  }
  special.add_bos = settings.add_bos.value_or(special.add_bos) && special.bos;
  special.add_eos = settings.add_eos.value_or(special.add_eos) && special.eos;
  return special;
}

}  // namespace precis
