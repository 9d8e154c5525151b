// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/normalizer.h"

#include "tokenizers/unicode.h"

namespace precis {
namespace {

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  replaced.reserve(text.size());
  for (size_t begin = 0;;) {
    const size_t end = text.find(from, begin);
    replaced += text.substr(begin, end - begin);
    if (end == std::string_view::npos) return replaced;
    replaced += to;
    begin = end + from.size();
  }
}

std::string ensure_front(std::string_view front, std::string_view text) {
  return text.starts_with(front) ? std::string(text) : std::string(front).append(text);
}

std::string apply_step(NormalizerStep step, std::string_view text, bool at_start) {
  switch (step) {
    case NormalizerStep::kNfc:
      return to_nfc(text);
    case NormalizerStep::kEscapeSpaces:
      return escape_spaces(text);
    case NormalizerStep::kPrependMark:
      return std::string(kSpaceMark).append(text);
    case NormalizerStep::kEnsureMark:
      return ensure_front(kSpaceMark, text);
    case NormalizerStep::kEnsureMarkAtStart:
      return at_start ? ensure_front(kSpaceMark, text) : std::string(text);
    case NormalizerStep::kEnsureSpace:
      return ensure_front(" ", text);
  }
  return std::string(text);
}

}  // namespace

std::string Normalizer::apply(std::string_view text, bool at_start) const {
  std::string normal(text);
  for (const NormalizerStep step : steps_) normal = apply_step(step, normal, at_start);
  return normal;
}

std::string escape_spaces(std::string_view text) { return replace_all(text, " ", kSpaceMark); }

std::string unescape_spaces(std::string_view text) { return replace_all(text, kSpaceMark, " "); }

}  // namespace precis
