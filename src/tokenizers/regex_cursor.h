// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "io/in_quotes.h"
#include "tokenizers/regex_class.h"
#include "tokenizers/utf8.h"

namespace precis {

// Reads a regular expression from left to right. REQUIRES: valid UTF-8.
class RegexCursor {
 public:
  RegexCursor(std::string_view pattern, const std::string& origin)
      : pattern_(pattern), origin_(origin) {}

  bool at_end() const { return position_ == pattern_.size(); }
  size_t position() const { return position_; }
  std::string_view rest() const { return pattern_.substr(position_); }
  bool is_next(std::string_view text) const { return rest().starts_with(text); }
  void skip(size_t bytes) { position_ += bytes; }

  bool skip_if(std::string_view text) {
    if (!is_next(text)) return false;
    skip(text.size());
    return true;
  }

  char32_t next() {
    if (at_end()) malformed("ends too early");
    const CodePoint point = code_point_at(pattern_, position_);
    position_ += point.size;
    return point.value;
  }

  // Reads up to `end`, and skips it.
  std::string_view until(std::string_view end) {
    const size_t size = rest().find(end);
    if (size == std::string_view::npos) malformed("ends too early");
    const std::string_view text = rest().substr(0, size);
    skip(size + end.size());
    return text;
  }

  [[noreturn]] void malformed(std::string_view what) const { refuse(ErrorKind::kBadWeights, what); }
  [[noreturn]] void unsupported(std::string_view what) const {
    refuse(ErrorKind::kUnsupported, concat(what, ", which Precis does not support"));
  }

 private:
  [[noreturn]] void refuse(ErrorKind kind, std::string_view what) const {
    fail(kind,
         origin_,
         ": the regular expression ",
         in_quotes(pattern_),
         " ",
         what,
         " (before byte ",
         position_,
         ")");
  }

  std::string_view pattern_;
  const std::string& origin_;
  size_t position_ = 0;
};

// An escape: one character, or a set of characters.
using RegexEscape = std::variant<char32_t, CharacterSet>;
// Reads an escape that means the same inside a character class and outside. REQUIRES: the cursor is
// after the backslash.
RegexEscape read_regex_escape(RegexCursor& cursor);

// Reads a character class. REQUIRES: the cursor is after its opening bracket.
CharacterSet read_regex_class(RegexCursor& cursor);

}  // namespace precis
