// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <optional>

#include "tokenizers/regex_cursor.h"

namespace precis {
namespace {

struct Control {
  char32_t name;
  char32_t value;
};
constexpr Control kControls[] = {
    {'a', '\a'}, {'e', 0x1B}, {'f', '\f'}, {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'v', '\v'}};

std::optional<int> hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

char32_t code_point_of(std::string_view digits, const RegexCursor& cursor) {
  constexpr size_t kMaxDigits = 8;
  if (digits.empty() || digits.size() > kMaxDigits) cursor.malformed("has a bad character code");
  uint64_t value = 0;
  for (const char c : digits) {
    const auto digit = hex_value(c);
    if (!digit) cursor.malformed("has a bad character code");
    value = value * 16 + static_cast<uint64_t>(*digit);
  }
  const bool is_surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value > 0x10FFFF || is_surrogate) cursor.malformed("has a code that is no character");
  return static_cast<char32_t>(value);
}

// \x{H...} or \xHH. \xHH from 80 on is a byte of a character, not a character.
char32_t read_hex(RegexCursor& cursor) {
  if (cursor.skip_if("{")) return code_point_of(cursor.until("}"), cursor);
  const std::string_view digits = cursor.rest().substr(0, 2);
  cursor.skip(digits.size());
  const char32_t value = code_point_of(digits, cursor);
  if (digits.size() < 2 || value >= 0x80) cursor.unsupported("has a byte as \\xHH");
  return value;
}

char32_t read_four_digits(RegexCursor& cursor) {
  const std::string_view digits = cursor.rest().substr(0, 4);
  cursor.skip(digits.size());
  if (digits.size() < 4) cursor.malformed("has a bad character code");
  return code_point_of(digits, cursor);
}

CharacterSet read_property(RegexCursor& cursor, bool negated) {
  if (!cursor.skip_if("{")) cursor.unsupported("has a property without braces");
  std::string_view name = cursor.until("}");
  if (name.starts_with('^')) {
    negated = !negated;
    name.remove_prefix(1);
  }
  const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ' ' || c == '_' || c == '-';
  });
  if (!is_name) cursor.malformed("has a bad property name");
  const CharacterSet set = property_class(name);
  return negated ? set.complement() : set;
}

bool is_ascii_alphanumeric(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

RegexEscape read_regex_escape(RegexCursor& cursor) {
  const char32_t name = cursor.next();
  if (!is_ascii_alphanumeric(name)) return name;
  const auto* const control = std::find_if(std::begin(kControls),
                                           std::end(kControls),
                                           [name](const auto& row) { return row.name == name; });
  if (control != std::end(kControls)) return control->value;
  if (name == 'x') return read_hex(cursor);
  if (name == 'u') return read_four_digits(cursor);
  if (name == 'p' || name == 'P') return read_property(cursor, name == 'P');
  if (auto set = shorthand_class(name)) return std::move(*set);
  cursor.unsupported(concat("has \\", static_cast<char>(name)));
}

}  // namespace precis
