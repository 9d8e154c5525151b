// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizers/byte_range.h"

namespace precis {

// A regular expression of a tokenizer.json, run by PCRE2: compiled to machine code where PCRE2 can,
// and with limits, so that no expression takes memory or time without end. Copies share what is
// compiled; const methods may be called from several threads at once.
//
// Characters that are newer than the Unicode version of the installed PCRE2 (14 in 10.42) have no
// letter or number property to it, while Hugging Face's tokenizers know Unicode 16.
class Regex {
 public:
  // In Oniguruma's syntax (see regex_syntax.h). `origin` names the file in messages. Throws
  // kBadWeights or kUnsupported naming the expression and the place in it.
  Regex(std::string_view pattern, const std::string& origin);

  // Matches this very text.
  static Regex literal(std::string_view text, const std::string& origin);

  // All matches from left to right, without overlaps. An empty match that follows another match at
  // once is left out, as in Oniguruma's iterator. Throws kUnsupported where the limits on steps or
  // memory are reached. REQUIRES: valid UTF-8.
  std::vector<ByteRange> find_all(std::string_view text) const;

  // The pattern as the file spells it.
  const std::string& pattern() const;

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace precis
