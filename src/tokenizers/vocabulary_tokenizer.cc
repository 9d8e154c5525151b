// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/vocabulary_tokenizer.h"

#include "base/check.h"
#include "tokenizers/utf8.h"

namespace precis {

std::vector<TokenId> VocabularyTokenizer::encode(std::string_view text) const {
  return encode_trusted(text, {});
}

std::vector<TokenId> VocabularyTokenizer::encode_runs(std::span<const TextRun> runs) const {
  std::string text;
  std::vector<ByteRange> trusted;
  for (const TextRun& run : runs) {
    if (run.trusted) trusted.push_back({text.size(), text.size() + run.text.size()});
    text += run.text;
  }
  return encode_trusted(text, trusted);
}

std::vector<TokenId> VocabularyTokenizer::encode_trusted(std::string_view text,
                                                         std::span<const ByteRange> trusted) const {
  check_utf8(text);
  std::vector<TokenId> ids;
  for (const auto& [range, token] : parts_.added_tokens.split(text, trusted)) {
    if (token) {
      ids.push_back(*token);
    } else {
      const auto part = text.substr(range.begin, range.end - range.begin);
      append_ids(part, range.begin == 0, ids);
    }
  }
  return ids;
}

std::optional<TokenId> VocabularyTokenizer::find(std::string_view token) const {
  return vocabulary().find(token);
}

bool VocabularyTokenizer::is_special(TokenId id) const {
  return vocabulary().contains(id) && vocabulary()[id].role == TokenRole::kSpecial;
}

std::string VocabularyTokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    check_id(id);
    if (!skip_special || !is_special(id)) bytes += vocabulary()[id].bytes;
  }
  if (parts_.strip_leading_space && bytes.starts_with(' ')) bytes.erase(0, 1);
  return repair_utf8(bytes);
}

std::string VocabularyTokenizer::token_bytes(TokenId id) const {
  check_id(id);
  return vocabulary()[id].bytes;
}

void VocabularyTokenizer::check_id(TokenId id) const {
  PRECIS_CHECK(vocabulary().contains(id),
               kInvalidArgument,
               "token id ",
               id,
               " is out of range, the vocabulary has ",
               vocab_size());
}

}  // namespace precis
