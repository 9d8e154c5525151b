// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer_json.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/in_quotes.h"
#include "io/json_file.h"
#include "tokenizers/added_token_list.h"
#include "tokenizers/bpe_tokenizer.h"
#include "tokenizers/byte_alphabet.h"
#include "tokenizers/byte_token.h"
#include "tokenizers/merge_rules.h"
#include "tokenizers/tokenizer_json_steps.h"

namespace precis {
namespace {

using nlohmann::json;

TokenId read_id(const json& value, const std::string& origin) {
  PRECIS_CHECK(value.is_number_integer(),
               kBadWeights,
               origin,
               ": a token id should be a number, is ",
               in_quotes(value.dump(-1, ' ', true)));
  const auto id = value.get<TokenId>();
  check_token_id(id, origin);
  return id;
}

Token& place_for(TokenId id, std::vector<Token>& tokens) {
  if (static_cast<size_t>(id) >= tokens.size()) tokens.resize(static_cast<size_t>(id) + 1);
  return tokens[static_cast<size_t>(id)];
}

void check_bpe(const json& model, const std::string& origin) {
  const std::string type = model.value("type", "BPE");
  PRECIS_CHECK(type == "BPE", kUnsupported, origin, ": model ", in_quotes(type), " (known: BPE)");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto value = model.find(affix);
    const bool absent = value == model.end() || value->is_null() || *value == "";
    PRECIS_CHECK(absent, kUnsupported, origin, ": model with a ", affix);
  }
}

std::vector<Token> read_vocabulary(const json& model, const std::string& origin) {
  const bool byte_fallback = model.value("byte_fallback", false);
  std::vector<Token> tokens;
  for (const auto& [name, id] : model.at("vocab").get_ref<const json::object_t&>()) {
    Token& token = place_for(read_id(id, origin), tokens);
    PRECIS_CHECK(token.role == TokenRole::kNone,
                 kBadWeights,
                 origin,
                 ": tokens ",
                 in_quotes(token.name),
                 " and ",
                 in_quotes(name),
                 " have the same id");
    const bool is_byte = byte_fallback && byte_of_token_name(name);
    token = {name, {}, is_byte ? TokenRole::kByte : TokenRole::kText};
  }
  return tokens;
}

std::vector<AddedToken> read_added_tokens(const json& file, const std::string& origin) {
  std::vector<AddedToken> added;
  const auto entries = file.find("added_tokens");
  if (entries == file.end() || entries->is_null()) return added;
  for (const json& entry : entries->get_ref<const json::array_t&>()) {
    added.push_back(read_added_token(read_id(entry.at("id"), origin), entry));
  }
  return added;
}

std::string bytes_of(const Token& token, const DecoderSteps& decoder) {
  const bool is_text = token.role == TokenRole::kText;
  if (is_text && decoder.byte_level) return from_byte_alphabet(token.name).value_or(token.name);
  if (is_text && decoder.unescape_spaces) return unescape_spaces(token.name);
  if (token.role != TokenRole::kByte) return token.name;
  return std::string(1, static_cast<char>(*byte_of_token_name(token.name)));
}

// "left right", or since tokenizers 0.20 ["left", "right"].
NamedMerge read_merge(const json& entry, const std::string& origin) {
  if (entry.is_string()) return parse_merge(entry.get_ref<const std::string&>(), origin);
  PRECIS_CHECK(
      entry.is_array() && entry.size() == 2, kBadWeights, origin, ": a merge is not two tokens");
  return {entry[0].get_ref<const std::string&>(), entry[1].get_ref<const std::string&>()};
}

std::vector<MergeRule> read_merges(const json& model,
                                   const Vocabulary& vocabulary,
                                   const std::string& origin) {
  std::vector<NamedMerge> merges;
  for (const json& entry : model.at("merges").get_ref<const json::array_t&>()) {
    merges.push_back(read_merge(entry, origin));
  }
  return resolve_merges(vocabulary, merges, origin);
}

BpeAlphabet alphabet_of(const json& model, const TextSteps& steps, const std::string& origin) {
  const bool fallback = model.value("byte_fallback", false);
  PRECIS_CHECK(
      !(steps.byte_level && fallback), kUnsupported, origin, ": both ByteLevel and byte_fallback");
  if (steps.byte_level) return BpeAlphabet::kBytes;
  return fallback ? BpeAlphabet::kCharactersWithFallback : BpeAlphabet::kCharacters;
}

BpeRules read_rules(const json& file, const Vocabulary& vocabulary, const std::string& origin) {
  const json& model = file.at("model");
  TextSteps steps = read_text_steps(file, origin);
  BpeRules rules;
  rules.alphabet = alphabet_of(model, steps, origin);
  rules.ignore_merges = model.value("ignore_merges", false);
  rules.fuse_unknown = model.value("fuse_unk", false);
  const auto unknown = model.find("unk_token");
  if (unknown != model.end() && !unknown->is_null()) {
    rules.unknown = vocabulary.find(unknown->get_ref<const std::string&>());
    PRECIS_CHECK(rules.unknown, kBadWeights, origin, ": unk_token is not in the vocabulary");
  }
  rules.normalizer = Normalizer(std::move(steps.normalizer));
  rules.pre_tokenizer = PreTokenizer(std::move(steps.splits), std::move(steps.byte_splits));
  return rules;
}

void check_around(std::optional<TokenId> around,
                  std::optional<TokenId> own,
                  const char* name,
                  const Vocabulary& vocabulary,
                  const std::string& origin) {
  PRECIS_CHECK(!around || around == own,
               kUnsupported,
               origin,
               ": post_processor adds ",
               in_quotes(vocabulary[*around].name),
               ", but ",
               name,
               " is ",
               in_quotes(vocabulary[*own].name),
               "; Precis adds no other token than that");
}

void check_is_token(std::optional<TokenId> id,
                    const Vocabulary& vocabulary,
                    const std::string& origin) {
  PRECIS_CHECK(!id || vocabulary.contains(*id),
               kBadWeights,
               origin,
               ": post_processor adds the unknown token ",
               *id);
}

// bos and eos default to those of the post-processor; the settings override them.
SpecialTokens read_special_tokens(const json& file,
                                  const Vocabulary& vocabulary,
                                  const TokenizerSettings& settings,
                                  const std::string& origin) {
  const TokensAround around = read_tokens_around(file, origin);
  check_is_token(around.before, vocabulary, origin);
  check_is_token(around.after, vocabulary, origin);
  SpecialTokens special;
  special.bos = around.before;
  special.eos = around.after;
  special.add_bos = special.bos.has_value();
  special.add_eos = special.eos.has_value();
  special = apply_settings(settings, vocabulary, special, origin);
  if (!settings.add_bos) check_around(around.before, special.bos, "bos_token", vocabulary, origin);
  if (!settings.add_eos) check_around(around.after, special.eos, "eos_token", vocabulary, origin);
  return special;
}

std::unique_ptr<Tokenizer> make_tokenizer(const json& file,
                                          const TokenizerSettings& settings,
                                          const std::string& origin) {
  const json& model = file.at("model");
  check_bpe(model, origin);
  std::vector<Token> tokens = read_vocabulary(model, origin);
  std::vector<AddedToken> added = read_added_tokens(file, origin);
  place_added_tokens(added, tokens, origin);
  merge_added_tokens(added, with_known_ids(settings.added_tokens, tokens));
  place_added_tokens(added, tokens, origin);
  const DecoderSteps decoder = read_decoder_steps(file, origin);
  for (Token& token : tokens) token.bytes = bytes_of(token, decoder);
  Vocabulary vocabulary(std::move(tokens), origin);
  const SpecialTokens special = read_special_tokens(file, vocabulary, settings, origin);
  const auto merges = read_merges(model, vocabulary, origin);
  BpeRules rules = read_rules(file, vocabulary, origin);
  PRECIS_CHECK(decoder.byte_level == (rules.alphabet == BpeAlphabet::kBytes),
               kUnsupported,
               origin,
               ": ByteLevel as pre_tokenizer or as decoder, but not as both");
  TokenizerParts parts{
      std::move(vocabulary), AddedTokens(std::move(added)), special, decoder.strip_leading_space};
  return std::make_unique<BpeTokenizer>(std::move(parts), std::move(rules), merges);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer_json(const std::filesystem::path& path,
                                               const TokenizerSettings& settings) {
  const json file = read_json(path, JsonNumbers::kFinite);
  try {
    return make_tokenizer(file, settings, path.string());
  } catch (const json::exception& error) {
    fail(ErrorKind::kBadWeights, path.string(), ": ", error.what());
  }
}

}  // namespace precis
