// SPDX-License-Identifier: Apache-2.0
#include "text/added_tokens.h"

#include <algorithm>
#include <iterator>

#include "text/unicode.h"
#include "text/utf8.h"

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

// Appends the tokens found from left to right inside `range`.
void find_tokens(const TextMatcher& matcher,
                 std::string_view text,
                 ByteRange range,
                 std::vector<TextPiece>& found) {
  size_t limit = range.begin;  // the end of the token before
  for (size_t position = range.begin; position < range.end;) {
    const AddedToken* token = matcher.longest_at(text, {position, range.end});
    if (token == nullptr) {
      ++position;
      continue;
    }
    ByteRange place = {position, position + token->text.size()};
    position = place.end;
    if (token->single_word && touches_word(text, place)) continue;
    if (token->strip_left) place.begin = strip_left(text, place.begin, limit);
    if (token->strip_right) place.end = strip_right(text, place.end, range.end);
    found.push_back({place, token->id});
    position = limit = place.end;
  }
}

// What of `range` lies between the pieces that begin in it.
std::vector<ByteRange> gaps(ByteRange range, std::span<const TextPiece> pieces) {
  std::vector<ByteRange> left;
  for (const TextPiece& piece : pieces) {
    if (piece.range.begin < range.begin || piece.range.begin >= range.end) continue;
    left.push_back({range.begin, piece.range.begin});
    range.begin = piece.range.end;
  }
  left.push_back(range);
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

TextMatcher::TextMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  // A broken text could only be found by cutting a character of a valid one in two.
  std::erase_if(tokens_,
                [](const AddedToken& token) { return token.text.empty() || !is_utf8(token.text); });
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) {
    return a.text < b.text;
  });
}

const AddedToken* TextMatcher::longest_at(std::string_view text, ByteRange range) const {
  const AddedToken* longest = nullptr;
  auto first = tokens_.begin();
  auto last = tokens_.end();
  // Keeps the tokens that share `depth` bytes with the text; the shortest of them sorts first.
  for (size_t depth = 0; range.begin + depth < range.end && first != last; ++depth) {
    const auto byte = static_cast<unsigned char>(text[range.begin + depth]);
    const auto at = [depth](const AddedToken& token) {
      return depth < token.text.size() ? static_cast<unsigned char>(token.text[depth]) : -1;
    };
    first = std::partition_point(
        first, last, [&](const AddedToken& token) { return at(token) < byte; });
    last = std::partition_point(
        first, last, [&](const AddedToken& token) { return at(token) == byte; });
    if (first != last && first->text.size() == depth + 1) longest = &*first;
  }
  return longest;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens)
    : early_(select(tokens, false)), late_(select(tokens, true)) {}

std::vector<TextPiece> AddedTokens::split(std::string_view text,
                                          std::span<const ByteRange> trusted) const {
  std::vector<TextPiece> found;
  for (const ByteRange& range : trusted) {
    std::vector<TextPiece> early;
    find_tokens(early_, text, range, early);
    std::vector<TextPiece> late;
    for (const ByteRange& gap : gaps(range, early)) find_tokens(late_, text, gap, late);
    std::merge(
        early.begin(),
        early.end(),
        late.begin(),
        late.end(),
        std::back_inserter(found),
        [](const TextPiece& a, const TextPiece& b) { return a.range.begin < b.range.begin; });
  }
  return with_text_between(found, text.size());
}

}  // namespace precis
