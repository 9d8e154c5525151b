// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/bpe_tokenizer.h"

#include "tokenizers/byte_alphabet.h"
#include "tokenizers/byte_token.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

// A byte token matches text even if the file lists it as an added token.
std::array<TokenId, 256> find_byte_characters(const Vocabulary& vocabulary) {
  std::array<TokenId, 256> ids;
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    const char value = static_cast<char>(byte);
    const auto id = vocabulary.find(to_byte_alphabet({&value, 1}));
    const bool usable = id && vocabulary[*id].role != TokenRole::kSpecial;
    ids[byte] = usable ? *id : Symbol::kUnknown;
  }
  return ids;
}

}  // namespace

BpeTokenizer::BpeTokenizer(TokenizerParts parts,
                           BpeRules rules,
                           const std::vector<MergeRule>& merges)
    : VocabularyTokenizer(std::move(parts)),
      rules_(std::move(rules)),
      merges_(merges),
      byte_ids_(rules_.alphabet == BpeAlphabet::kBytes ? find_byte_characters(vocabulary())
                                                       : find_byte_tokens(vocabulary())) {}

void BpeTokenizer::append_ids(std::string_view text,
                              bool at_start,
                              std::vector<TokenId>& ids) const {
  std::string normal;
  if (!rules_.normalizer.empty()) {
    normal = rules_.normalizer.apply(text, at_start);
    text = normal;
  }
  for (const std::string_view word : rules_.pre_tokenizer.split(text)) append_word(word, ids);
}

void BpeTokenizer::append_word(std::string_view word, std::vector<TokenId>& ids) const {
  if (const auto whole = whole_word(word)) {
    ids.push_back(*whole);
    return;
  }
  std::vector<TokenId> symbols;
  symbols.reserve(word.size());
  if (rules_.alphabet == BpeAlphabet::kBytes) {
    split_into_bytes(word, symbols);
  } else {
    split_into_characters(word, symbols);
  }
  merges_.apply(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

std::optional<TokenId> BpeTokenizer::whole_word(std::string_view word) const {
  if (!rules_.ignore_merges) return std::nullopt;
  if (rules_.alphabet != BpeAlphabet::kBytes) return vocabulary().find_text(word);
  return vocabulary().find_text(to_byte_alphabet(word));
}

void BpeTokenizer::split_into_bytes(std::string_view word, std::vector<TokenId>& symbols) const {
  bool after_unknown = false;
  for (const char byte : word) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id != Symbol::kUnknown) {
      symbols.push_back(id);
    } else {
      append_unknown(after_unknown, symbols);
    }
    after_unknown = id == Symbol::kUnknown;
  }
}

void BpeTokenizer::split_into_characters(std::string_view word,
                                         std::vector<TokenId>& symbols) const {
  bool after_unknown = false;
  for (size_t position = 0; position < word.size();) {
    const auto character = word.substr(position, code_point_at(word, position).size);
    position += character.size();
    const auto id = vocabulary().find_text(character);
    if (id) symbols.push_back(*id);
    const bool known = id || append_fallback(character, symbols);
    if (!known) append_unknown(after_unknown, symbols);
    after_unknown = !known;
  }
}

// Appends the byte tokens of a character; appends nothing if one of its bytes has no token.
bool BpeTokenizer::append_fallback(std::string_view character,
                                   std::vector<TokenId>& symbols) const {
  if (rules_.alphabet != BpeAlphabet::kCharactersWithFallback) return false;
  const size_t size = symbols.size();
  for (const char byte : character) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id == Symbol::kUnknown) {
      symbols.resize(size);
      return false;
    }
    symbols.push_back(id);
  }
  return true;
}

void BpeTokenizer::append_unknown(bool after_unknown, std::vector<TokenId>& symbols) const {
  if (!rules_.unknown || (after_unknown && rules_.fuse_unknown)) return;
  symbols.push_back(*rules_.unknown);
}

}  // namespace precis
