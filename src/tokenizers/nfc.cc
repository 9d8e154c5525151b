// SPDX-License-Identifier: Apache-2.0
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "base/check.h"
#include "tokenizers/unicode.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

// All code points below it are their own normal form, and none is a combining mark.
constexpr char32_t kFirstToNormalise = 0x300;

bool is_normal(std::string_view text) {
  // ASCII and lead bytes below that of U+0300.
  constexpr unsigned char kFirstLead = 0xC0u | (kFirstToNormalise >> 6u);
  return std::all_of(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < kFirstLead; });
}

utf8proc_propval_t combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

void check(utf8proc_ssize_t size) {
  PRECIS_CHECK(size >= 0, kInternal, "nfc: ", utf8proc_errmsg(size));
}

void append_decomposed(char32_t code_point, CodePoints& points) {
  std::array<utf8proc_int32_t, 8> parts;  // no canonical decomposition has more than four
  int last_boundary_class = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point),
                              parts.data(),
                              std::ssize(parts),
                              static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE),
                              &last_boundary_class);
  check(count);
  PRECIS_CHECK(count <= std::ssize(parts), kInternal, "nfc: ", count, " parts of a character");
  points.insert(points.end(), parts.begin(), parts.begin() + count);
}

// Sorts consecutive marks by combining class, stably. utf8proc's own sorting takes quadratic time.
void sort_marks(CodePoints& points) {
  const auto is_mark = [](utf8proc_int32_t point) { return combining_class(point) != 0; };
  const auto by_class = [](utf8proc_int32_t a, utf8proc_int32_t b) {
    return combining_class(a) < combining_class(b);
  };
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if(begin, points.end(), is_mark);
    const auto end = std::find_if_not(begin, points.end(), is_mark);
    if (!std::is_sorted(begin, end, by_class)) std::stable_sort(begin, end, by_class);
    begin = end;
  }
}

// utf8proc takes U+11A7 as a trailing consonant of Hangul and drops it after a syllable. It never
// composes with its neighbours, so that the text can be split there.
constexpr utf8proc_int32_t kNoTrailingConsonant = 0x11A7;

void append_composed(utf8proc_int32_t* begin, utf8proc_int32_t* end, std::string& text) {
  const auto count = utf8proc_normalize_utf32(
      begin, end - begin, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  check(count);
  for (const auto* point = begin; point != begin + count; ++point) {
    append_utf8(text, static_cast<char32_t>(*point));
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  if (is_normal(text)) return std::string(text);
  CodePoints points;
  points.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const CodePoint point = code_point_at(text, position);
    append_decomposed(point.value, points);
    position += point.size;
  }
  sort_marks(points);
  std::string normal;
  normal.reserve(text.size());
  auto* const last = points.data() + points.size();
  for (auto* begin = points.data(); begin != last;) {
    auto* const end = std::find(begin, last, kNoTrailingConsonant);
    append_composed(begin, end, normal);
    begin = end;
    for (; begin != last && *begin == kNoTrailingConsonant; ++begin) {
      append_utf8(normal, kNoTrailingConsonant);
    }
  }
  return normal;
}

}  // namespace precis
