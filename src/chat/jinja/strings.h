// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "chat/jinja/text.h"

// Python's string operations on texts; bytes keep their origins.
namespace precis::jinja {

enum class Side { kLeft, kRight, kBoth };

// Removes `characters` from the ends; null: white space.
Text strip(Budget& budget, const Text& text, Side side, const Text* characters = nullptr);

// At most `limit` splits if it is not negative, from the left or from the right.
std::vector<Text> split_at_space(Budget& budget, const Text& text, int64_t limit, Side from);
std::vector<Text> split(
    Budget& budget, const Text& text, std::string_view separator, int64_t limit, Side from);
std::vector<Text> split_lines(Budget& budget, const Text& text, bool keeps_ends = false);
size_t size_without_break(std::string_view line);  // in bytes, without the line break

Text replace(
    Budget& budget, const Text& text, std::string_view old, const Text& with, int64_t limit);
Text join(Budget& budget, const std::vector<Text>& parts, const Text& separator);
Text concatenate(Budget& budget, const Text& left, const Text& right);
Text repeat(Budget& budget, const Text& text, int64_t times);
Text substring(Budget& budget, const Text& text, size_t begin, size_t end);  // in bytes
Text reverse(Budget& budget, const Text& text);

Text upper(Budget& budget, const Text& text);
Text lower(Budget& budget, const Text& text);
Text capitalize(Budget& budget, const Text& text);
// Python's str.title begins a word after anything but a letter; Jinja's filter after white space
// and the characters "-({[<".
Text title(Budget& budget, const Text& text);
Text title_words(Budget& budget, const Text& text);
Text escape_html(Budget& budget, const Text& text);

// Byte offsets of the occurrences of `needle`, not overlapping, from the left; at most `limit` if
// it is not negative.
std::vector<size_t> find_all(Budget& budget,
                             std::string_view text,
                             std::string_view needle,
                             int64_t limit);
size_t count_all(Budget& budget, std::string_view text, std::string_view needle);
// The byte offset of the last occurrence; npos if there is none.
size_t find_last(Budget& budget, std::string_view text, std::string_view needle);

enum class CharacterClass { kDigit, kAlpha, kAlphanumeric, kSpace };
bool all_of_class(Budget& budget, const Text& text, CharacterClass wanted);
bool is_cased(Budget& budget, const Text& text, bool upper);

}  // namespace precis::jinja
