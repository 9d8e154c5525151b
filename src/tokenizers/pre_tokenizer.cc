// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/pre_tokenizer.h"

#include <algorithm>
#include <cstddef>

#include "tokenizers/byte_alphabet.h"
#include "tokenizers/normalizer.h"
#include "tokenizers/unicode.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

using Class = CharacterClass;

constexpr std::string_view kLongS = "\xC5\xBF";  // U+017F, which folds to "s"

bool is_line_break(std::string_view text, size_t position) {
  return text[position] == '\r' || text[position] == '\n';
}

bool is_class_at(std::string_view text, size_t position, Class wanted) {
  return position < text.size() && character_class(code_point_at(text, position).value) == wanted;
}

// The end of the run of at most `limit` characters of one class that starts at `position`.
size_t run_end(std::string_view text, size_t position, Class wanted, size_t limit = SIZE_MAX) {
  for (size_t count = 0; count < limit && position < text.size(); ++count) {
    const CodePoint point = code_point_at(text, position);
    if (character_class(point.value) != wanted) break;
    position += point.size;
  }
  return position;
}

size_t skip_line_breaks(std::string_view text, size_t position) {
  while (position < text.size() && is_line_break(text, position)) ++position;
  return position;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Size of 's 't 're 've 'm 'll 'd at `begin`, or 0.
size_t contraction_size(std::string_view text, size_t begin, bool any_case) {
  if (text[begin] != '\'') return 0;
  const std::string_view rest = text.substr(begin + 1, 2);
  const auto letter = [&](size_t i) {
    if (i >= rest.size()) return '\0';
    return any_case ? lower(rest[i]) : rest[i];
  };
  const char first = letter(0);
  const char second = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  if ((first == 'r' || first == 'v') && second == 'e') return 3;
  if (first == 'l' && second == 'l') return 3;
  return any_case && rest == kLongS ? 3 : 0;
}

// \s+(?!\S)|\s+ : a run of spaces without its last one, which the next word gets, unless it is the
// only one.
size_t space_end(std::string_view text, size_t begin) {
  const size_t end = run_end(text, begin, Class::kSpace);
  if (end == text.size()) return end;
  const size_t last = end - code_point_before(text, end).size;
  return last == begin ? end : last;
}

// An optional space, then a run of one class; `begin` if there is no such run.
size_t spaced_run_end(std::string_view text, size_t begin, Class wanted) {
  const size_t start = begin + (text[begin] == ' ' ? 1 : 0);
  const size_t end = run_end(text, start, wanted);
  return end == start ? begin : end;
}

size_t gpt2_end(std::string_view text, size_t begin) {
  if (const size_t size = contraction_size(text, begin, false)) return begin + size;
  for (const Class wanted : {Class::kLetter, Class::kNumber, Class::kOther}) {
    const size_t end = spaced_run_end(text, begin, wanted);
    if (end != begin) return end;
  }
  return space_end(text, begin);
}

// [^\r\n\p{L}\p{N}]?\p{L}+ ; `begin` if it does not match.
size_t prefixed_letters_end(std::string_view text, size_t begin) {
  const CodePoint first = code_point_at(text, begin);
  const Class kind = character_class(first.value);
  if (kind == Class::kLetter) return run_end(text, begin, Class::kLetter);
  if (kind == Class::kNumber || is_line_break(text, begin)) return begin;
  const size_t start = begin + first.size;
  const size_t end = run_end(text, start, Class::kLetter);
  return end == start ? begin : end;
}

// \s*[\r\n]+ : spaces up to and including the last line break of the run; `begin` if there is none.
size_t line_break_end(std::string_view text, size_t begin) {
  size_t position = run_end(text, begin, Class::kSpace);
  while (position > begin && !is_line_break(text, position - 1)) --position;
  return position;
}

size_t llama3_end(std::string_view text, size_t begin, size_t max_digits) {
  if (const size_t size = contraction_size(text, begin, true)) return begin + size;
  if (const size_t end = prefixed_letters_end(text, begin); end != begin) return end;
  if (const size_t end = run_end(text, begin, Class::kNumber, max_digits); end != begin) return end;
  if (const size_t end = spaced_run_end(text, begin, Class::kOther); end != begin) {
    return skip_line_breaks(text, end);
  }
  if (const size_t end = line_break_end(text, begin); end != begin) return end;
  return space_end(text, begin);
}

// A run of at most `max_digits` digits, or everything up to the next digit.
size_t digits_end(std::string_view text, size_t begin, size_t max_digits) {
  if (const size_t end = run_end(text, begin, Class::kNumber, max_digits); end != begin) return end;
  size_t position = begin;
  while (position < text.size() && !is_class_at(text, position, Class::kNumber)) {
    position += code_point_at(text, position).size;
  }
  return position;
}

size_t metaspace_end(std::string_view text, size_t begin) {
  return std::min(text.find(kSpaceMark, begin + 1), text.size());
}

size_t word_end(SplitRule rule, std::string_view text, size_t begin) {
  switch (rule) {
    case SplitRule::kDigits:
      return digits_end(text, begin, 1);
    case SplitRule::kDigitRuns:
      return digits_end(text, begin, SIZE_MAX);
    case SplitRule::kGpt2:
      return gpt2_end(text, begin);
    case SplitRule::kLlama3:
      return llama3_end(text, begin, 3);
    case SplitRule::kQwen2:
      return llama3_end(text, begin, 1);
    case SplitRule::kMetaspace:
      return metaspace_end(text, begin);
  }
  return text.size();
}

void append_words(SplitRule rule, std::string_view text, std::vector<std::string_view>& words) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(rule, text, begin);
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
}

void append_words(const SplitStep& step,
                  std::string_view text,
                  std::vector<std::string_view>& words) {
  if (const auto* rule = std::get_if<SplitRule>(&step)) {
    append_words(*rule, text, words);
  } else {
    std::get<RegexSplit>(step).append_words(text, words);
  }
}

// Applies a step to the spelling of `bytes` in the byte alphabet, one character for each byte, and
// splits `bytes` at the same places.
void append_byte_words(const SplitStep& step,
                       std::string_view bytes,
                       std::vector<std::string_view>& words) {
  const std::string spelling = to_byte_alphabet(bytes);
  std::vector<std::string_view> pieces;
  append_words(step, spelling, pieces);
  size_t offset = 0;  // offset in the spelling
  size_t byte = 0;    // offset in `bytes`
  const auto advance = [&](const char* end) {
    for (; spelling.data() + offset < end; ++byte) offset += code_point_at(spelling, offset).size;
    return byte;
  };
  for (const std::string_view piece : pieces) {
    const size_t begin = advance(piece.data());
    const size_t end = advance(piece.data() + piece.size());
    words.push_back(bytes.substr(begin, end - begin));
  }
}

}  // namespace

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> words;
  if (!text.empty()) words.push_back(text);
  for (const SplitStep& step : steps_) {
    std::vector<std::string_view> finer;
    for (const std::string_view word : words) append_words(step, word, finer);
    words = std::move(finer);
  }
  for (const SplitStep& step : byte_steps_) {
    std::vector<std::string_view> finer;
    for (const std::string_view word : words) append_byte_words(step, word, finer);
    words = std::move(finer);
  }
  return words;
}

}  // namespace precis
