// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/strings.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"

namespace precis::jinja {
namespace {

class StripSet {
 public:
  StripSet(Budget& budget, const Text* characters) : only_space_(!characters) {
    if (!characters) return;
    for_each_character(budget, *characters, [this](int32_t point, std::string_view, int) {
      members_.insert(point);
    });
  }
  bool contains(int32_t point) const {
    return only_space_ ? is_space(point) : members_.contains(point);
  }

 private:
  bool only_space_;
  std::set<int32_t> members_;
};

// memmem takes linear time on any input, std::string_view::find does not.
size_t find_from(std::string_view text, std::string_view needle, size_t from) {
  if (needle.empty()) return from;
  if (needle.size() > text.size() - from) return std::string_view::npos;
  const char* start = text.data() + from;
  const void* found = memmem(start, text.size() - from, needle.data(), needle.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
               : std::string_view::npos;
}

std::vector<Text> cut(Budget& budget,
                      const Text& text,
                      const std::vector<size_t>& offsets,
                      size_t separator_size) {
  std::vector<Text> parts;
  size_t begin = 0;
  for (const size_t offset : offsets) {
    parts.push_back(substring(budget, text, begin, offset));
    begin = offset + separator_size;
  }
  parts.push_back(substring(budget, text, begin, text.bytes().size()));
  return parts;
}

// Offsets found from the right, as rsplit finds them, in ascending order.
std::vector<size_t> find_all_from_right(Budget& budget,
                                        std::string_view text,
                                        std::string_view needle,
                                        int64_t limit) {
  budget.touch(text.size() + needle.size());
  const std::string backwards(text.rbegin(), text.rend());
  const std::string needle_backwards(needle.rbegin(), needle.rend());
  std::vector<size_t> offsets = find_all(budget, backwards, needle_backwards, limit);
  for (size_t& offset : offsets) offset = text.size() - offset - needle.size();
  std::reverse(offsets.begin(), offsets.end());
  return offsets;
}

size_t skip_while_space(std::string_view bytes, size_t at, bool space) {
  while (at < bytes.size()) {
    const CodePoint point = decode_at(bytes, at);
    if (is_space(point.value) != space) break;
    at += point.size;
  }
  return at;
}

size_t skip_back_while_space(std::string_view bytes, size_t at, bool space) {
  while (at > 0) {
    const CodePoint point = decode_before(bytes, at);
    if (is_space(point.value) != space) break;
    at -= point.size;
  }
  return at;
}

std::vector<Text> split_at_space_from_left(Budget& budget, const Text& text, int64_t limit) {
  const std::string_view bytes = text.bytes();
  std::vector<Text> words;
  size_t at = skip_while_space(bytes, 0, true);
  while (at < bytes.size()) {
    const bool is_rest = limit >= 0 && words.size() == static_cast<size_t>(limit);
    const size_t end = is_rest ? bytes.size() : skip_while_space(bytes, at, false);
    words.push_back(substring(budget, text, at, end));
    at = skip_while_space(bytes, end, true);
  }
  return words;
}

std::vector<Text> split_at_space_from_right(Budget& budget, const Text& text, int64_t limit) {
  const std::string_view bytes = text.bytes();
  std::vector<Text> words;
  size_t at = skip_back_while_space(bytes, bytes.size(), true);
  while (at > 0) {
    const bool is_rest = limit >= 0 && words.size() == static_cast<size_t>(limit);
    const size_t begin = is_rest ? 0 : skip_back_while_space(bytes, at, false);
    words.push_back(substring(budget, text, begin, at));
    at = skip_back_while_space(bytes, begin, true);
  }
  std::reverse(words.begin(), words.end());
  return words;
}

bool ends_line(int32_t point) {
  return (point >= 0x0A && point <= 0x0D) || (point >= 0x1C && point <= 0x1E) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

// Calls visit(offset) for each occurrence of `needle`, in the order of find_all.
template <typename Visit>
void for_each_match(
    Budget& budget, std::string_view text, std::string_view needle, int64_t limit, Visit visit) {
  constexpr size_t kPerMatch = 16;
  budget.touch(text.size() + needle.size());
  for (size_t at = 0; at <= text.size() && limit != 0; limit -= limit > 0 ? 1 : 0) {
    const size_t offset = find_from(text, needle, at);
    if (offset == std::string_view::npos) break;
    budget.touch(kPerMatch);
    visit(offset);
    at = offset + std::max<size_t>(needle.size(), 1);
  }
}

// With an empty old text, Python puts the new one between all characters.
Text replace_nothing(Budget& budget, const Text& text, const Text& with, int64_t limit) {
  TextBuilder out(budget);
  int64_t left = limit < 0 ? static_cast<int64_t>(text.length()) + 1 : limit;
  for_each_character(budget, text, [&](int32_t, std::string_view bytes, int source) {
    if (left-- > 0) out.add(with);
    out.add(bytes, source);
  });
  if (left > 0) out.add(with);
  return out.take(text.is_markup());
}

}  // namespace

Text substring(Budget& budget, const Text& text, size_t begin, size_t end) {
  if (begin == 0 && end == text.bytes().size()) return text;
  TextBuilder out(budget);
  out.add(text, begin, std::max(begin, end));
  return out.take(text.is_markup());
}

Text strip(Budget& budget, const Text& text, Side side, const Text* characters) {
  const StripSet set(budget, characters);
  const std::string_view bytes = text.bytes();
  size_t begin = 0;
  size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    const CodePoint point = decode_at(bytes, begin);
    if (!set.contains(point.value)) break;
    begin += point.size;
  }
  while (side != Side::kLeft && end > begin) {
    const CodePoint point = decode_before(bytes, end);
    if (!set.contains(point.value)) break;
    end -= point.size;
  }
  budget.scan(bytes.size() - (end - begin));
  return substring(budget, text, begin, end);
}

std::vector<Text> split_at_space(Budget& budget, const Text& text, int64_t limit, Side from) {
  budget.scan(text.bytes().size());
  return from == Side::kLeft ? split_at_space_from_left(budget, text, limit)
                             : split_at_space_from_right(budget, text, limit);
}

std::vector<Text> split(
    Budget& budget, const Text& text, std::string_view separator, int64_t limit, Side from) {
  PRECIS_CHECK(!separator.empty(), kInvalidArgument, "split: the separator is empty");
  const auto find = from == Side::kLeft ? find_all : find_all_from_right;
  return cut(budget, text, find(budget, text.bytes(), separator, limit), separator.size());
}

std::vector<Text> split_lines(Budget& budget, const Text& text, bool keeps_ends) {
  const std::string_view bytes = text.bytes();
  budget.scan(bytes.size());
  std::vector<Text> lines;
  size_t begin = 0;
  for (size_t at = 0; at < bytes.size();) {
    const CodePoint point = decode_at(bytes, at);
    const size_t stop = at;
    at += point.size;
    if (!ends_line(point.value)) continue;
    if (point.value == '\r' && bytes.substr(at).starts_with('\n')) ++at;
    lines.push_back(substring(budget, text, begin, keeps_ends ? at : stop));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(substring(budget, text, begin, bytes.size()));
  return lines;
}

size_t size_without_break(std::string_view line) {
  const CodePoint last = decode_before(line, line.size());
  if (line.empty() || !ends_line(last.value)) return line.size();
  return line.size() - (line.ends_with("\r\n") ? 2 : last.size);
}

Text replace(
    Budget& budget, const Text& text, std::string_view old, const Text& with, int64_t limit) {
  if (old.empty()) return replace_nothing(budget, text, with, limit);
  TextBuilder out(budget);
  size_t begin = 0;
  for (const size_t offset : find_all(budget, text.bytes(), old, limit)) {
    out.add(text, begin, offset);
    out.add(with);
    begin = offset + old.size();
  }
  out.add(text, begin, text.bytes().size());
  return out.take(text.is_markup());
}

Text join(Budget& budget, const std::vector<Text>& parts, const Text& separator) {
  TextBuilder out(budget);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.add(separator);
    out.add(parts[i]);
  }
  return out.take();
}

Text concatenate(Budget& budget, const Text& left, const Text& right) {
  const bool is_markup = left.is_markup() || right.is_markup();
  TextBuilder out(budget);
  out.add(is_markup && !left.is_markup() ? escape_html(budget, left) : left);
  out.add(is_markup && !right.is_markup() ? escape_html(budget, right) : right);
  return out.take(is_markup);
}

Text repeat(Budget& budget, const Text& text, int64_t times) {
  if (text.empty()) return text;
  const size_t most = Budget::kMaxText / text.bytes().size();
  PRECIS_CHECK(times <= static_cast<int64_t>(most),
               kInvalidArgument,
               "a string of more than ",
               Budget::kMaxText,
               " bytes");
  constexpr size_t kBlock = 4096;  // bytes: adding few large pieces is faster than many small ones
  const auto per_block = static_cast<int64_t>(std::max<size_t>(1, kBlock / text.bytes().size()));
  TextBuilder out(budget);
  if (times > per_block) {
    const Text block = repeat(budget, text, per_block);
    for (; times >= per_block; times -= per_block) out.add(block);
  }
  for (; times > 0; --times) out.add(text);
  return out.take(text.is_markup());
}

Text reverse(Budget& budget, const Text& text) {
  TextBuilder out(budget);
  budget.scan(text.bytes().size());
  for (size_t end = text.bytes().size(); end > 0;) {
    const size_t begin = end - decode_before(text.bytes(), end).size;
    out.add(text, begin, end);
    end = begin;
  }
  return out.take(text.is_markup());
}

std::vector<size_t> find_all(Budget& budget,
                             std::string_view text,
                             std::string_view needle,
                             int64_t limit) {
  std::vector<size_t> offsets;
  for_each_match(budget, text, needle, limit, [&](size_t offset) { offsets.push_back(offset); });
  return offsets;
}

size_t count_all(Budget& budget, std::string_view text, std::string_view needle) {
  size_t count = 0;
  for_each_match(budget, text, needle, -1, [&](size_t) { ++count; });
  return count;
}

size_t find_last(Budget& budget, std::string_view text, std::string_view needle) {
  const std::vector<size_t> last = find_all_from_right(budget, text, needle, 1);
  return last.empty() ? std::string_view::npos : last.front();
}

// Case, classes and escapes: operations on single characters.
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

// Maps one character to one, except the sharp s; Unicode's other special cases are not implemented.
void add_in_case(TextBuilder& out, int32_t point, std::string_view bytes, int source, Case wanted) {
  constexpr int32_t kSharpS = 0xDF;
  if (point == kSharpS && wanted == Case::kUpper) return out.add("SS", source);
  if (point == kSharpS && wanted == Case::kTitle) return out.add("Ss", source);
  if (point < 0) return out.add(bytes, source);
  std::string mapped;
  append_utf8(mapped, map_point(point, wanted));
  out.add(mapped, source);
}

// `choose(code point)` returns the case of the character.
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
