// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace precis {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

uint8_t byte_at(std::string_view text, size_t position) {
  return static_cast<uint8_t>(text[position]);
}

// The bytes that may follow a lead byte. The second byte has its own range, which excludes overlong
// forms, surrogates and values over U+10FFFF (Unicode, table 3-7).
struct LeadByte {
  size_t size = 0;  // 0: not a lead byte
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xBF;
};

LeadByte lead_byte(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte >= 0xC2 && byte <= 0xDF) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

struct Sequence {
  size_t size;      // bytes of the sequence, at least 1
  bool complete;    // it is a character
  bool unfinished;  // more bytes could make it a character
};

Sequence sequence_at(std::string_view text, size_t position) {
  const LeadByte lead = lead_byte(byte_at(text, position));
  if (lead.size == 0) return {1, false, false};
  for (size_t i = 1; i < lead.size; ++i) {
    if (position + i == text.size()) return {i, false, true};
    const uint8_t low = i == 1 ? lead.second_min : 0x80;
    const uint8_t high = i == 1 ? lead.second_max : 0xBF;
    const uint8_t byte = byte_at(text, position + i);
    if (byte < low || byte > high) return {i, false, false};
  }
  return {lead.size, true, false};
}

// Most text is ASCII: skipping it eight bytes at a time makes the check almost free.
size_t skip_ascii(std::string_view text, size_t position) {
  while (position + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + position, sizeof word);
    if ((word & 0x8080808080808080u) != 0) break;
    position += 8;
  }
  while (position < text.size() && byte_at(text, position) < 0x80) ++position;
  return position;
}

// The first broken sequence at or after `position`, or the end of the text.
size_t find_broken(std::string_view text, size_t position) {
  while ((position = skip_ascii(text, position)) < text.size()) {
    const Sequence sequence = sequence_at(text, position);
    if (!sequence.complete) break;
    position += sequence.size;
  }
  return position;
}

}  // namespace

CodePoint code_point_at(std::string_view text, size_t position) {
  const uint8_t lead = byte_at(text, position);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t value = lead & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) value = value << 6 | (byte_at(text, position + i) & 0x3Fu);
  return {value, size};
}

CodePoint code_point_before(std::string_view text, size_t position) {
  --position;
  while ((byte_at(text, position) & 0xC0u) == 0x80u) --position;
  return code_point_at(text, position);
}

bool is_utf8(std::string_view bytes) { return find_broken(bytes, 0) == bytes.size(); }

void check_utf8(std::string_view text) {
  const size_t broken = find_broken(text, 0);
  PRECIS_CHECK(broken == text.size(), kInvalidArgument, "text is not valid UTF-8 at byte ", broken);
}

void check_utf8(std::string_view text, const std::string& origin) {
  const size_t broken = find_broken(text, 0);
  PRECIS_CHECK(
      broken == text.size(), kInvalidArgument, origin, ": not valid UTF-8 at byte ", broken);
}

std::string repair_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (size_t position = 0; position < bytes.size();) {
    const size_t broken = find_broken(bytes, position);
    text += bytes.substr(position, broken - position);
    position = broken;
    if (position == bytes.size()) break;
    text += kReplacement;
    position += sequence_at(bytes, position).size;
  }
  return text;
}

size_t unfinished_utf8(std::string_view bytes) {
  const size_t longest = std::min<size_t>(3, bytes.size());
  for (size_t size = 1; size <= longest; ++size) {
    const Sequence sequence = sequence_at(bytes, bytes.size() - size);
    if (sequence.unfinished && sequence.size == size) return size;
  }
  return 0;
}

void append_utf8(std::string& text, char32_t code_point) {
  if (code_point < 0x80) {
    text += static_cast<char>(code_point);
    return;
  }
  const int size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
  const uint32_t lead_mark = (0xF00u >> size) & 0xFFu;
  text += static_cast<char>(lead_mark | code_point >> (6 * (size - 1)));
  for (int i = size - 2; i >= 0; --i) {
    text += static_cast<char>(0x80u | ((code_point >> (6 * i)) & 0x3Fu));
  }
}

}  // namespace precis
