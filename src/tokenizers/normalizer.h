// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizers/regex.h"

namespace precis {

enum class TextRule : uint8_t {
  kNfc,                // Unicode normalisation form C
  kEscapeSpaces,       // every space becomes U+2581
  kPrependMark,        // prepends U+2581
  kEnsureMark,         // prepends U+2581 unless the text begins with it
  kEnsureMarkAtStart,  // the same, but only if no token precedes the text
  kEnsureSpace,        // prepends a space unless the text begins with one
};

// Replaces every match by `content`.
struct Replacement {
  Regex regex;
  std::string content;
};

using NormalizerStep = std::variant<TextRule, Replacement>;

// Applies normalisation steps to a text, in order, before it is split into words.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  // `at_start`: no token precedes the text. Throws kUnsupported if replacements make a text many
  // times longer.
  std::string apply(std::string_view text, bool at_start) const;

 private:
  std::vector<NormalizerStep> steps_;
};

// SentencePiece writes a space inside a token as U+2581.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
std::string escape_spaces(std::string_view text);
std::string unescape_spaces(std::string_view text);

}  // namespace precis
