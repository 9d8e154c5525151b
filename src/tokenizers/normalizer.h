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
  kPrependMark,        // U+2581 goes in front
  kEnsureMark,         // U+2581 goes in front unless it stands there
  kEnsureMarkAtStart,  // the same, but only where no token stands before the text
  kEnsureSpace,        // a space goes in front unless one stands there
};

// Puts `content` in the place of every match.
struct Replacement {
  Regex regex;
  std::string content;
};

using NormalizerStep = std::variant<TextRule, Replacement>;

// Changes a text before it is cut into words: steps, one after another.
class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  // `at_start`: no token stands before the text. Throws kUnsupported where replacements make a text
  // many times longer than it was.
  std::string apply(std::string_view text, bool at_start) const;

 private:
  std::vector<NormalizerStep> steps_;
};

// SentencePiece writes a space inside a token as U+2581.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";
std::string escape_spaces(std::string_view text);
std::string unescape_spaces(std::string_view text);

}  // namespace precis
