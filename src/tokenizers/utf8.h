// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace precis {

struct CodePoint {
  char32_t value;
  size_t size;  // in bytes
};

// The code point at `position`. REQUIRES: valid UTF-8, position < text.size().
CodePoint code_point_at(std::string_view text, size_t position);

// The code point that ends before `position`. REQUIRES: valid UTF-8, 0 < position.
CodePoint code_point_before(std::string_view text, size_t position);

bool is_utf8(std::string_view bytes);

// Throws kInvalidArgument naming the first byte that is not valid UTF-8.
void check_utf8(std::string_view text);
// The same for the text of a file, which the error names.
void check_utf8(std::string_view text, const std::string& origin);

// The text with every invalid sequence replaced by U+FFFD: one for each longest run of bytes that
// begins a character, as Unicode recommends and Python's errors="replace" does.
std::string repair_utf8(std::string_view bytes);

// Number of bytes at the end that are the beginning of an incomplete character.
size_t unfinished_utf8(std::string_view bytes);

void append_utf8(std::string& text, char32_t code_point);

}  // namespace precis
