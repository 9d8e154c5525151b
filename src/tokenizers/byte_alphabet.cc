// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "tokenizers/utf8.h"

namespace precis {
namespace {

constexpr size_t kNumCharacters = 256 + 68;  // 68 bytes are not printable and have other characters
constexpr int16_t kNoByte = -1;

bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> of_byte;
  std::array<int16_t, kNumCharacters> byte_of;

  Alphabet() {
    byte_of.fill(kNoByte);
    char32_t next = 256;
    for (int byte = 0; byte < 256; ++byte) {
      const char32_t character = is_printable(byte) ? static_cast<char32_t>(byte) : next++;
      append_utf8(of_byte[static_cast<size_t>(byte)], character);
      byte_of[character] = static_cast<int16_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string name;
  name.reserve(bytes.size());
  for (const char byte : bytes) name += alphabet().of_byte[static_cast<unsigned char>(byte)];
  return name;
}

std::optional<std::string> from_byte_alphabet(std::string_view name) {
  if (!is_utf8(name)) return std::nullopt;
  std::string bytes;
  for (size_t position = 0; position < name.size();) {
    const CodePoint point = code_point_at(name, position);
    if (point.value >= kNumCharacters || alphabet().byte_of[point.value] == kNoByte) return {};
    bytes += static_cast<char>(alphabet().byte_of[point.value]);
    position += point.size;
  }
  return bytes;
}

}  // namespace precis
