// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/normalizer.h"

#include "base/check.h"
#include "io/in_quotes.h"
#include "tokenizers/unicode.h"

namespace precis {
namespace {

// Limits the growth of a text. Without a limit a few replacements that double it would exhaust
// memory.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxExtraBytes = 65536;

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

std::string apply_rule(TextRule rule, std::string_view text, bool at_start) {
  switch (rule) {
    case TextRule::kNfc:
      return to_nfc(text);
    case TextRule::kEscapeSpaces:
      return escape_spaces(text);
    case TextRule::kPrependMark:
      return std::string(kSpaceMark).append(text);
    case TextRule::kEnsureMark:
      return ensure_front(kSpaceMark, text);
    case TextRule::kEnsureMarkAtStart:
      return at_start ? ensure_front(kSpaceMark, text) : std::string(text);
    case TextRule::kEnsureSpace:
      return ensure_front(" ", text);
  }
  return std::string(text);
}

std::string replace_matches(const Replacement& step, std::string_view text, size_t max_bytes) {
  std::string replaced;
  size_t end = 0;
  for (const ByteRange match : step.regex.find_all(text)) {
    replaced.append(text.substr(end, match.begin - end)).append(step.content);
    PRECIS_CHECK(replaced.size() <= max_bytes,
                 kUnsupported,
                 "normalizer: replacing ",
                 in_quotes(step.regex.pattern()),
                 " makes a text of more than ",
                 max_bytes,
                 " bytes");
    end = match.end;
  }
  return replaced.append(text.substr(end));
}

}  // namespace

std::string Normalizer::apply(std::string_view text, bool at_start) const {
  const size_t max_bytes = kMaxGrowth * text.size() + kMaxExtraBytes;
  std::string normal(text);
  for (const NormalizerStep& step : steps_) {
    if (normal.empty()) break;  // nothing is prepended to an empty text, as in tokenizers
    if (const auto* rule = std::get_if<TextRule>(&step)) {
      normal = apply_rule(*rule, normal, at_start);
    } else {
      normal = replace_matches(std::get<Replacement>(step), normal, max_bytes);
    }
  }
  return normal;
}

std::string escape_spaces(std::string_view text) { return replace_all(text, " ", kSpaceMark); }

std::string unescape_spaces(std::string_view text) { return replace_all(text, kSpaceMark, " "); }

}  // namespace precis
