// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "io/in_quotes.h"
#include "tokenizers/bpe_tokenizer.h"
#include "tokenizers/byte_alphabet.h"
#include "tokenizers/gguf_tokenizer.h"
#include "tokenizers/gguf_vocabulary.h"
#include "tokenizers/merge_rules.h"

namespace precis {
namespace {

std::vector<MergeRule> read_merges(const GgufFile& file, const Vocabulary& vocabulary) {
  const std::string origin = file.path().string();
  const auto lines = require_strings(file, "tokenizer.ggml.merges");
  std::vector<NamedMerge> merges;
  merges.reserve(lines.size());
  for (const std::string_view line : lines) merges.push_back(parse_merge(line, origin));
  return resolve_merges(vocabulary, merges, origin);
}

// Added tokens are spelled in plain text, all others in the byte alphabet.
void fill_bytes(std::vector<Token>& tokens) {
  for (Token& token : tokens) {
    const auto bytes =
        token.role == TokenRole::kText ? from_byte_alphabet(token.name) : std::optional(token.name);
    token.bytes = bytes.value_or(token.name);
  }
}

// Files from before April 2024 do not name their pre-tokenizer. Guessing could give other ids than
// the model was trained with.
std::vector<SplitRule> read_split_rules(const GgufFile& file) {
  const std::string origin = file.path().string();
  const auto name = file.string("tokenizer.ggml.pre");
  PRECIS_CHECK(
      name,
      kUnsupported,
      origin,
      ": there is no tokenizer.ggml.pre, which names the way of splitting text into words; "
      "convert the model anew, or add the name with gguf-new-metadata --pre-tokenizer");
  const auto split_rules = split_rules_of_gguf_name(*name);
  PRECIS_CHECK(split_rules,
               kUnsupported,
               origin,
               ": tokenizer.ggml.pre ",
               in_quotes(*name),
               " is not a way of splitting text that Precis knows (known: ",
               known_gguf_names(),
               ")");
  return *split_rules;
}

BpeRules rules_of(const std::vector<SplitRule>& split_rules) {
  BpeRules rules;
  rules.pre_tokenizer =
      PreTokenizer(std::vector<SplitStep>(split_rules.begin(), split_rules.end()));
  // GGUF files do not contain the other settings of these tokenizers.
  rules.ignore_merges = split_rules.back() == SplitRule::kLlama3;
  if (split_rules.back() == SplitRule::kQwen2) {
    rules.normalizer = Normalizer({TextRule::kNfc});
  }
  return rules;
}

}  // namespace

std::unique_ptr<Tokenizer> make_gguf_bpe_tokenizer(const GgufFile& file) {
  const std::string origin = file.path().string();
  const auto split_rules = read_split_rules(file);
  GgufTokens tokens = read_gguf_tokens(file);
  fill_bytes(tokens.tokens);
  const bool is_llama3 = split_rules.back() == SplitRule::kLlama3;
  const SpecialTokens special = read_gguf_special_tokens(file, tokens, is_llama3);
  AddedTokens added(
      added_tokens_of(tokens, {GgufTokenType::kControl, GgufTokenType::kUserDefined}));
  Vocabulary vocabulary(std::move(tokens.tokens), origin);
  const auto merges = read_merges(file, vocabulary);
  TokenizerParts parts{std::move(vocabulary), std::move(added), special};
  return std::make_unique<BpeTokenizer>(std::move(parts), rules_of(split_rules), merges);
}

}  // namespace precis
