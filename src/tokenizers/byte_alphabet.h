// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace precis {

// GPT-2 writes each byte of a token as one printable character, so that token names are text:
// a space is U+0120, a line break U+010A.
std::string to_byte_alphabet(std::string_view bytes);

// The bytes that a name encodes; nullopt if a character of it is not in the alphabet.
std::optional<std::string> from_byte_alphabet(std::string_view name);

}  // namespace precis
