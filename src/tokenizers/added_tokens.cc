// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/added_tokens.h"

#include <algorithm>
#include <iterator>

#include "tokenizers/unicode.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

std::vector<AddedToken> select(std::vector<AddedToken> tokens, bool late) {
  std::erase_if(tokens, [late](const AddedToken& token) { return token.late != late; });
  return tokens;
}

bool is_space_at(std::string_view text, size_t position) {
  return character_class(code_point_at(text, position).value) == CharacterClass::kSpace;
}

bool touches_word(std::string_view text, ByteRange range) {
  const bool before =
      range.begin > 0 && is_word_character(code_point_before(text, range.begin).value);
  const bool after =
      range.end < text.size() && is_word_character(code_point_at(text, range.end).value);
  return before || after;
}

size_t strip_left(std::string_view text, size_t begin, size_t limit) {
  while (begin > limit) {
    const size_t previous = begin - code_point_before(text, begin).size;
    if (!is_space_at(text, previous) || previous < limit) break;
    begin = previous;
  }
  return begin;
}

size_t strip_right(std::string_view text, size_t end, size_t limit) {
  while (end < limit && is_space_at(text, end)) {
    const size_t next = end + code_point_at(text, end).size;
    if (next > limit) break;
    end = next;
  }
  return end;
}

// The trusted ranges of a text, looked up from left to right.
class TrustedRanges {
 public:
  explicit TrustedRanges(std::span<const ByteRange> ranges) : rest_(ranges) {}

  // The trusted range that contains `position`, or an empty one.
  ByteRange around(size_t position) {
    while (!rest_.empty() && rest_.front().end <= position) rest_ = rest_.subspan(1);
    if (rest_.empty() || rest_.front().begin > position) return {position, position};
    return rest_.front();
  }

 private:
  std::span<const ByteRange> rest_;
};

// Appends the tokens found from left to right inside `range`.
void find_tokens(const TokenMatcher& matcher,
                 std::string_view text,
                 ByteRange range,
                 TrustedRanges& trusted,
                 std::vector<TextPiece>& found) {
  size_t limit = range.begin;  // the end of the previous token
  for (size_t position = range.begin; position < range.end;) {
    const ByteRange around = trusted.around(position);
    const AddedToken* token = matcher.longest_at(text, {position, range.end}, around.end);
    if (token == nullptr) {
      ++position;
      continue;
    }
    ByteRange place = {position, position + token->text.size()};
    position = place.end;
    if (token->single_word && touches_word(text, place)) continue;
    const size_t first = token->special ? std::max(limit, around.begin) : limit;
    const size_t last = token->special ? std::min(range.end, around.end) : range.end;
    if (token->strip_left) place.begin = strip_left(text, place.begin, first);
    if (token->strip_right) place.end = strip_right(text, place.end, last);
    found.push_back({place, token->id});
    position = limit = place.end;
  }
}

// The ranges of a text between the given pieces.
std::vector<ByteRange> gaps(std::span<const TextPiece> pieces, size_t size) {
  std::vector<ByteRange> left;
  size_t position = 0;
  for (const TextPiece& piece : pieces) {
    left.push_back({position, piece.range.begin});
    position = piece.range.end;
  }
  left.push_back({position, size});
  return left;
}

std::vector<TextPiece> with_text_between(std::span<const TextPiece> tokens, size_t size) {
  std::vector<TextPiece> pieces;
  size_t position = 0;
  for (const TextPiece& token : tokens) {
    if (token.range.begin > position) pieces.push_back({{position, token.range.begin}, {}});
    pieces.push_back(token);
    position = token.range.end;
  }
  if (size > position) pieces.push_back({{position, size}, {}});
  return pieces;
}

}  // namespace

TokenMatcher::TokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  // Invalid UTF-8 could only match inside a character of a valid text.
  std::erase_if(tokens_,
                [](const AddedToken& token) { return token.text.empty() || !is_utf8(token.text); });
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.text < b.text;
  });
  for (const AddedToken& token : tokens_) {
    begins_[static_cast<unsigned char>(token.text.front())] = true;
  }
}

const AddedToken* TokenMatcher::longest_at(std::string_view text,
                                           ByteRange range,
                                           size_t special_end) const {
  if (!begins_[static_cast<unsigned char>(text[range.begin])]) return nullptr;
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  // Narrows to the tokens that share `depth` bytes with the text; the shortest of them sorts first.
  for (size_t depth = 0; range.begin + depth < range.end && first != last; ++depth) {
    const auto byte = static_cast<unsigned char>(text[range.begin + depth]);
    const auto at = [depth](const AddedToken& token) {
      return depth < token.text.size() ? static_cast<unsigned char>(token.text[depth]) : -1;
    };
    first = std::partition_point(
        first, last, [&](const AddedToken& token) { return at(token) < byte; });
    last = std::partition_point(
        first, last, [&](const AddedToken& token) { return at(token) == byte; });
    const size_t end = range.begin + depth + 1;
    const bool is_whole = first != last && first->text.size() == depth + 1;
    if (is_whole && (!first->special || end <= special_end)) longest = &*first;
  }
  return longest;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : early_(select(tokens, false)), late_(select(tokens, true)) {}

std::vector<TextPiece> AddedTokens::split(std::string_view text,
                                          std::span<const ByteRange> trusted) const {
  std::vector<TextPiece> early;
  TrustedRanges for_early(trusted);
  find_tokens(early_, text, {0, text.size()}, for_early, early);
  std::vector<TextPiece> late;
  TrustedRanges for_late(trusted);
  for (const ByteRange& gap : gaps(early, text.size())) {
    find_tokens(late_, text, gap, for_late, late);
  }
  std::vector<TextPiece> found;
  std::merge(early.begin(),
             early.end(),
             late.begin(),
             late.end(),
             std::back_inserter(found),
             [](const TextPiece& a, const TextPiece& b) { return a.range.begin < b.range.begin; });
  return with_text_between(found, text.size());
}

}  // namespace precis
