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

// A regular expression of a tokenizer.json, run by PCRE2: compiled to machine code if possible, and
// with limits on memory and time. Copies share the compiled code. Const methods may be called from
// several threads at once.
//
// PCRE2 does not know letters and numbers that are newer than its Unicode version (14 in 10.42),
// whereas Hugging Face's tokenizers use Unicode 16.
class Regex {
 public:
  // pattern: in Oniguruma's syntax (see regex_syntax.h). `origin` names the file in messages.
  // Throws kBadWeights or kUnsupported naming the expression and the position in it.
  Regex(std::string_view pattern, const std::string& origin);

  // An expression that matches this text literally.
  static Regex literal(std::string_view text, const std::string& origin);

  // All matches from left to right, without overlaps. An empty match directly after another match
  // is left out, as in Oniguruma's iterator. Throws kUnsupported if the limits on steps or memory
  // are reached. REQUIRES: valid UTF-8.
  std::vector<ByteRange> find_all(std::string_view text) const;

  // The pattern as the file spells it.
  const std::string& pattern() const;

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace precis
