// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/byte_token.h"

#include "tokenizers/greedy_merge.h"

namespace precis {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

std::optional<unsigned char> byte_of_token_name(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return std::nullopt;
  const size_t high = kHexDigits.find(name[3]);
  const size_t low = kHexDigits.find(name[4]);
  if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned char>(high << 4 | low);
}

std::array<TokenId, 256> find_byte_tokens(const Vocabulary& vocabulary) {
  std::array<TokenId, 256> ids;
  ids.fill(Symbol::kUnknown);
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary[id].role != TokenRole::kByte) continue;
    if (const auto byte = byte_of_token_name(vocabulary[id].name)) ids[*byte] = id;
  }
  return ids;
}

}  // namespace precis
