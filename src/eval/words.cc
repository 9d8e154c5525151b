// SPDX-License-Identifier: Apache-2.0
#include "eval/words.h"

#include <utf8proc.h>

#include <utility>

#include "tokenizers/unicode.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

// Python takes the four separators U+001C..1F for space too.
bool is_space(char32_t c) {
  return character_class(c) == CharacterClass::kSpace || (c >= 0x1C && c <= 0x1F);
}

// Python's \w without the underscore, which is removed as punctuation before. \w has no marks.
bool is_letter_or_number(char32_t c) {
  const CharacterClass found = character_class(c);
  return found == CharacterClass::kLetter || found == CharacterClass::kNumber;
}

Words split_at_space(std::string_view text) {
  Words words;
  std::string word;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (!is_space(c.value)) {
      word += text.substr(i, c.size);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
    i += c.size;
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::string_view without_space_at_end(std::string_view text) {
  while (!text.empty()) {
    const CodePoint last = code_point_before(text, text.size());
    if (!is_space(last.value)) break;
    text.remove_suffix(last.size);
  }
  return text;
}

std::string to_lower(std::string_view text) {
  // The one character that becomes two.
  constexpr char32_t kCapitalIWithDot = 0x130;
  std::string lower;
  lower.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    const auto mapped = utf8proc_tolower(static_cast<utf8proc_int32_t>(c.value));
    append_utf8(lower, static_cast<char32_t>(mapped));
    if (c.value == kCapitalIWithDot) append_utf8(lower, 0x307);
    i += c.size;
  }
  return lower;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// Entities are undone one after the other: "&amp;lt;" becomes "<", as in the reference.
std::string without_markup(std::string_view text) {
  std::string plain(text);
  replace_all(plain, "<skipped>", "");
  replace_all(plain, "-\n", "");  // a word divided at the end of a line
  replace_all(plain, "\n", " ");
  replace_all(plain, "&quot;", "\"");
  replace_all(plain, "&amp;", "&");
  replace_all(plain, "&lt;", "<");
  replace_all(plain, "&gt;", ">");
  return plain;
}

bool is_period_or_comma(char c) { return c == '.' || c == ','; }

// Puts spaces around symbols but for apostrophes, hyphens, periods and commas, which depend on
// their neighbours (split_pairs).
std::string set_symbols_apart(std::string_view text) {
  std::string apart;
  for (const char c : text) {
    const bool is_symbol = is_punctuation(static_cast<unsigned char>(c)) &&
                           !is_period_or_comma(c) && c != '\'' && c != '-';
    apart += is_symbol ? std::string{' ', c, ' '} : std::string{c};
  }
  return apart;
}

// Puts a space between the two characters of every pair, `before` in front of it and `after` behind
// it. Pairs do not overlap: in "a.,b" the period belongs to the pair of the a. Works on bytes,
// since pairs are ASCII.
std::string split_pairs(std::string_view text,
                        bool (*is_pair)(char, char),
                        std::string_view before,
                        std::string_view after) {
  std::string split;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !is_pair(text[i], text[i + 1])) {
      split += text[i];
      continue;
    }
    split += before;
    split += text[i];
    split += ' ';
    split += text[++i];
    split += after;
  }
  return split;
}

std::string without_punctuation(std::string_view text) {
  std::string kept;
  for (const char c : text) {
    if (!is_punctuation(static_cast<unsigned char>(c))) kept += c;
  }
  return kept;
}

bool is_between(char32_t c, char32_t first, char32_t last) { return first <= c && c <= last; }

// Ideographs with their iteration mark and zero, and kana.
bool is_cjk_word(char32_t c) {
  return is_between(c, 0x3005, 0x3007) || is_between(c, 0x3041, 0x30FF) ||
         is_between(c, 0x3400, 0x4DBF) || is_between(c, 0x4E00, 0x9FFF) ||
         is_between(c, 0xF900, 0xFAFF) || is_between(c, 0x20000, 0x3FFFF);
}

// Also punctuation and full-width forms.
bool is_cjk(char32_t c) {
  return is_cjk_word(c) || is_between(c, 0x3000, 0x303F) || is_between(c, 0xFF00, 0xFFEF);
}

// Unicode's categories P and S.
bool is_punctuation_or_symbol(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_SO;
}

// Without punctuation, and with spaces around each character that is a word.
std::string with_mixed_segments(std::string_view text) {
  std::string segments;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    const std::string_view bytes = text.substr(i, c.size);
    i += c.size;
    if (is_punctuation_or_symbol(c.value)) continue;
    if (is_cjk_word(c.value))
      segments.append(" ").append(bytes).append(" ");
    else
      segments += bytes;
  }
  return segments;
}

bool is_article(std::string_view word) { return word == "a" || word == "an" || word == "the"; }

// A word ends where letters and numbers do, so that an article before a dash or a quotation mark
// that is not ASCII goes too.
std::string without_articles(std::string_view text) {
  std::string kept;
  for (size_t i = 0; i < text.size();) {
    const size_t first = i;
    CodePoint c{};
    while (i < text.size() && is_letter_or_number((c = code_point_at(text, i)).value)) i += c.size;
    const std::string_view word = text.substr(first, i - first);
    kept += is_article(word) ? " " : word;
    if (i == text.size()) break;
    kept += text.substr(i, c.size);
    i += c.size;
  }
  return kept;
}

}  // namespace

Words bleu_words(std::string_view text) {
  const std::string whole = repair_utf8(text);
  // The spaces around the text make its ends like any other place between words.
  std::string line = " " + without_markup(without_space_at_end(whole)) + " ";
  line = set_symbols_apart(line);
  line = split_pairs(
      line, [](char a, char b) { return !is_digit(a) && is_period_or_comma(b); }, "", " ");
  line = split_pairs(
      line, [](char a, char b) { return is_period_or_comma(a) && !is_digit(b); }, " ", "");
  line = split_pairs(
      line, [](char a, char b) { return is_digit(a) && b == '-'; }, "", " ");
  return split_at_space(line);
}

Words rouge_words(std::string_view text) {
  std::string lower = to_lower(repair_utf8(text));
  for (char& c : lower) {
    if (!is_digit(c) && !(c >= 'a' && c <= 'z')) c = ' ';
  }
  return split_at_space(lower);
}

Words squad_words(std::string_view text) {
  const std::string lower = to_lower(repair_utf8(text));
  return split_at_space(without_articles(without_punctuation(lower)));
}

bool has_cjk(std::string_view text) {
  const std::string whole = repair_utf8(text);
  for (size_t i = 0; i < whole.size();) {
    const CodePoint c = code_point_at(whole, i);
    if (is_cjk(c.value)) return true;
    i += c.size;
  }
  return false;
}

Words answer_words(std::string_view text) {
  if (!has_cjk(text)) return squad_words(text);
  const std::string lower = to_lower(repair_utf8(text));
  return split_at_space(without_articles(with_mixed_segments(lower)));
}

}  // namespace precis
