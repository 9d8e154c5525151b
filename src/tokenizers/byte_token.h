// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "tokenizers/vocabulary.h"

namespace precis {

// SentencePiece spells the token of a byte "<0x0A>".
std::optional<unsigned char> byte_of_token_name(std::string_view name);

// The byte tokens of a vocabulary, Symbol::kUnknown where there is none.
std::array<TokenId, 256> find_byte_tokens(const Vocabulary& vocabulary);

}  // namespace precis
