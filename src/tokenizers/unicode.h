// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace precis {

// The classes that pre-tokenizer expressions distinguish: \p{L}, \p{N}, \s and all others.
enum class CharacterClass : uint8_t { kOther, kLetter, kNumber, kSpace };

// By Unicode 16, which the tokenizers of Hugging Face follow.
CharacterClass character_class(char32_t code_point);

// Letters, marks, decimal digits and connecting punctuation: what \w matches.
bool is_word_character(char32_t code_point);

// Normalisation form C, in O(n log n). REQUIRES: valid UTF-8.
std::string to_nfc(std::string_view text);

}  // namespace precis
