// SPDX-License-Identifier: Apache-2.0
#include "eval/sentences.h"

#include <algorithm>

#include "tokenizers/utf8.h"

namespace precis {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

bool is_end(char c) { return c == '.' || c == '!' || c == '?'; }

// Full stop, exclamation and question mark.
bool is_chinese_end(char32_t c) { return c == 0x3002 || c == 0xFF01 || c == 0xFF1F; }

// Closing quotation marks and brackets, which belong to the sentence before them.
bool closes(char32_t c) {
  return c == 0x201D || c == 0x2019 || c == 0x300D || c == 0x300F || c == 0xFF09;
}

bool begins_empty_line(std::string_view text, size_t at) { return text.substr(at, 2) == "\n\n"; }

bool ends_before_space(std::string_view text, size_t at) {
  return at > 0 && is_end(text[at - 1]) && is_space(text[at]);
}

// The place after the closing marks at `at`.
size_t after_closing_marks(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint c = code_point_at(text, at);
    if (!closes(c.value)) break;
    at += c.size;
  }
  return at;
}

// Where the sentence from `first` on ends.
size_t end_of_sentence(std::string_view text, size_t first) {
  size_t at = first;
  while (at < text.size() && is_space(text[at])) ++at;
  while (at < text.size()) {
    if (ends_before_space(text, at) || begins_empty_line(text, at)) return at;
    const CodePoint c = code_point_at(text, at);
    at += c.size;
    if (is_chinese_end(c.value)) return after_closing_marks(text, at);
  }
  return at;
}

}  // namespace

std::vector<std::string> sentences_of(std::string_view text) {
  std::vector<std::string> sentences;
  for (size_t first = 0; first < text.size();) {
    const size_t end = end_of_sentence(text, first);
    sentences.emplace_back(text.substr(first, end - first));
    first = end;
  }
  // Space at the end of the text is no sentence.
  if (sentences.size() > 1 && std::ranges::all_of(sentences.back(), is_space)) {
    sentences[sentences.size() - 2] += sentences.back();
    sentences.pop_back();
  }
  return sentences;
}

}  // namespace precis
