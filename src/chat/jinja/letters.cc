// SPDX-License-Identifier: Apache-2.0
#include <utf8proc.h>

#include <algorithm>
#include <string>
#include <utility>

#include "chat/jinja/strings.h"

// The string operations that look at the kind of each character.
namespace precis::jinja {
namespace {

utf8proc_category_t category_of(int32_t point) {
  return point < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(point);
}

bool is_letter(int32_t point) {
  const auto category = category_of(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_digit(int32_t point) { return category_of(point) == UTF8PROC_CATEGORY_ND; }

bool has_case(int32_t point) {
  const auto category = category_of(point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LT;
}

enum class Case { kUpper, kLower, kTitle };

int32_t map_point(int32_t point, Case wanted) {
  if (wanted == Case::kUpper) return utf8proc_toupper(point);
  return wanted == Case::kLower ? utf8proc_tolower(point) : utf8proc_totitle(point);
}

// One character to one: of the special cases of Unicode only the sharp s is known.
void add_in_case(TextBuilder& out, int32_t point, std::string_view bytes, int source, Case wanted) {
  constexpr int32_t kSharpS = 0xDF;
  if (point == kSharpS && wanted == Case::kUpper) return out.add("SS", source);
  if (point == kSharpS && wanted == Case::kTitle) return out.add("Ss", source);
  if (point < 0) return out.add(bytes, source);
  std::string mapped;
  append_utf8(mapped, map_point(point, wanted));
  out.add(mapped, source);
}

// `choose(code point)` says which case the character takes.
template <typename Choose>
Text map_case(Budget& budget, const Text& text, Choose choose) {
  TextBuilder out(budget);
  for_each_character(budget, text, [&](int32_t point, std::string_view bytes, int source) {
    add_in_case(out, point, bytes, source, choose(point));
  });
  return out.take(text.is_markup());
}

bool ends_word(int32_t point) {
  constexpr std::string_view kMarks = "-({[<";
  return is_space(point) ||
         (point > 0 && point < 0x80 && kMarks.find(static_cast<char>(point)) != kMarks.npos);
}

bool has_class(int32_t point, CharacterClass wanted) {
  switch (wanted) {
    case CharacterClass::kDigit:
      return is_digit(point);
    case CharacterClass::kAlpha:
      return is_letter(point);
    case CharacterClass::kAlphanumeric:
      return is_letter(point) || is_digit(point);
    case CharacterClass::kSpace:
      return is_space(point);
  }
  return false;
}

std::string_view html_entity(std::string_view character) {
  if (character == "&") return "&amp;";
  if (character == "<") return "&lt;";
  if (character == ">") return "&gt;";
  if (character == "'") return "&#39;";
  return character == "\"" ? "&#34;" : character;
}

}  // namespace

Text upper(Budget& budget, const Text& text) {
  return map_case(budget, text, [](int32_t) { return Case::kUpper; });
}

Text lower(Budget& budget, const Text& text) {
  return map_case(budget, text, [](int32_t) { return Case::kLower; });
}

Text capitalize(Budget& budget, const Text& text) {
  bool is_first = true;
  return map_case(budget, text, [&is_first](int32_t) {
    return std::exchange(is_first, false) ? Case::kTitle : Case::kLower;
  });
}

Text title(Budget& budget, const Text& text) {
  bool in_word = false;
  return map_case(budget, text, [&in_word](int32_t point) {
    return std::exchange(in_word, has_case(point)) ? Case::kLower : Case::kTitle;
  });
}

Text title_words(Budget& budget, const Text& text) {
  bool in_word = false;
  return map_case(budget, text, [&in_word](int32_t point) {
    return std::exchange(in_word, !ends_word(point)) ? Case::kLower : Case::kUpper;
  });
}

Text escape_html(Budget& budget, const Text& text) {
  TextBuilder out(budget);
  for_each_character(budget, text, [&](int32_t, std::string_view bytes, int source) {
    out.add(html_entity(bytes), source);
  });
  return out.take(true);
}

bool all_of_class(Budget& budget, const Text& text, CharacterClass wanted) {
  bool all = !text.empty();
  for_each_character(budget, text, [&](int32_t point, std::string_view, int) {
    all = all && has_class(point, wanted);
  });
  return all;
}

bool is_cased(Budget& budget, const Text& text, bool upper) {
  const auto unwanted = upper ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU;
  bool any = false;
  bool none_unwanted = true;
  for_each_character(budget, text, [&](int32_t point, std::string_view, int) {
    any = any || has_case(point);
    const auto category = category_of(point);
    none_unwanted = none_unwanted && category != unwanted && category != UTF8PROC_CATEGORY_LT;
  });
  return any && none_unwanted;
}

}  // namespace precis::jinja
