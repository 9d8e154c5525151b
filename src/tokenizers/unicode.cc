// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>

namespace precis {
namespace {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

// Letters of Unicode 15.1 and 16: utf8proc may know Unicode 15 only (Debian 12).
constexpr CodePointRange kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr CodePointRange kNewNumbers[] = {{0x10D40, 0x10D49},
                                          {0x116D0, 0x116E3},
                                          {0x11BF0, 0x11BF9},
                                          {0x16130, 0x16139},
                                          {0x16D70, 0x16D79},
                                          {0x1CCF0, 0x1CCF9},
                                          {0x1E5F1, 0x1E5FA}};

bool contains(std::span<const CodePointRange> ranges, char32_t code_point) {
  return std::any_of(ranges.begin(), ranges.end(), [code_point](const CodePointRange& range) {
    return code_point >= range.first && code_point <= range.last;
  });
}

// White_Space of the Unicode character database, without the separators U+001C..1F.
bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

CharacterClass look_up(char32_t code_point) {
  if (is_white_space(code_point)) return CharacterClass::kSpace;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharacterClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharacterClass::kNumber;
    case UTF8PROC_CATEGORY_CN:
      if (contains(kNewLetters, code_point)) return CharacterClass::kLetter;
      if (contains(kNewNumbers, code_point)) return CharacterClass::kNumber;
      return CharacterClass::kOther;
    default:
      return CharacterClass::kOther;
  }
}

using ClassTable = std::array<CharacterClass, 0x3000>;

const ClassTable& class_table() {
  static const ClassTable table = [] {
    ClassTable made;
    for (char32_t c = 0; c < made.size(); ++c) made[c] = look_up(c);
    return made;
  }();
  return table;
}

}  // namespace

CharacterClass character_class(char32_t code_point) {
  const ClassTable& table = class_table();
  return code_point < table.size() ? table[code_point] : look_up(code_point);
}

bool is_word_character(char32_t code_point) {
  if (character_class(code_point) == CharacterClass::kLetter) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code_point))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return false;
  }
}

}  // namespace precis
