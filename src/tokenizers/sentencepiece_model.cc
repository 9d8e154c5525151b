// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/sentencepiece_model.h"

#include <cstdint>
#include <cstring>

#include "base/check.h"
#include "tokenizers/protobuf_fields.h"

namespace precis {
namespace {

using Names = std::set<std::string, std::less<>>;

// Field numbers of sentencepiece_model.proto.
constexpr uint64_t kPiece = 1;
constexpr uint64_t kTrainerSpec = 2;
constexpr uint64_t kNormalizerSpec = 3;
constexpr uint64_t kSelfTestData = 4;
constexpr uint64_t kDenormalizerSpec = 5;
constexpr uint64_t kPieceName = 1;          // of a piece
constexpr uint64_t kPieceType = 3;          // "
constexpr uint64_t kSpaceIsSuffix = 24;     // of the trainer spec
constexpr uint64_t kCharacterMap = 2;       // of the normalizer spec
constexpr uint64_t kAddDummyPrefix = 3;     // "
constexpr uint64_t kEscapeWhitespaces = 5;  // "

// Values of a piece's type.
constexpr uint64_t kNormal = 1;  // the default
constexpr uint64_t kControl = 3;
constexpr uint64_t kUserDefined = 4;
constexpr uint64_t kUnused = 5;

uint32_t read_u32(std::string_view bytes, size_t index) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

void require_map(bool condition, const std::string& origin) {
  PRECIS_CHECK(condition, kBadWeights, origin, ": the character map is damaged");
}

// Checks the units of a double-array trie, which the library follows without bounds checks. The
// children of a node are at indices up to (its index ^ its offset) | 0xFF. A node with bit 8 has a
// value there, which is an offset into the texts. Bit 31 marks values, which have no children.
void check_trie(std::string_view trie, size_t texts_size, const std::string& origin) {
  const size_t num_units = trie.size() / 4;
  for (size_t i = 0; i < num_units; ++i) {
    const uint32_t unit = read_u32(trie, i);
    if (i != 0 && (unit >> 31u) != 0) continue;
    const size_t children = i ^ (size_t{unit >> 10u} << ((unit & (1u << 9u)) >> 6u));
    require_map((children | 0xFFu) < num_units, origin);
    const bool has_value = (unit & (1u << 8u)) != 0;
    require_map(!has_value || (read_u32(trie, children) & 0x7FFFFFFFu) < texts_size, origin);
  }
}

// Checks the map: length of the trie in bytes, the trie, then zero-terminated texts.
void check_character_map(std::string_view map, const std::string& origin) {
  if (map.empty()) return;
  require_map(map.size() > 4, origin);
  const size_t trie_size = read_u32(map, 0);
  require_map(trie_size > 0 && trie_size % 4 == 0 && trie_size < map.size() - 4, origin);
  const std::string_view texts = map.substr(4 + trie_size);
  require_map(texts.back() == '\0', origin);
  check_trie(map.substr(4, trie_size), texts.size(), origin);
}

void check_trainer_spec(std::string_view bytes, const std::string& origin) {
  for (const ProtobufField& field : read_protobuf(bytes, origin)) {
    PRECIS_CHECK(field.number != kSpaceIsSuffix || field.value == 0,
                 kUnsupported,
                 origin,
                 ": treat_whitespace_as_suffix");
  }
}

void check_normalizer_spec(std::string_view bytes,
                           const std::string& origin,
                           SentencePieceModel& model) {
  for (const ProtobufField& field : read_protobuf(bytes, origin)) {
    if (field.number == kCharacterMap) check_character_map(field.bytes, origin);
    if (field.number == kAddDummyPrefix) model.adds_dummy_prefix = field.value != 0;
    PRECIS_CHECK(field.number != kEscapeWhitespaces || field.value != 0,
                 kUnsupported,
                 origin,
                 ": escape_whitespaces = false");
  }
}

// Whether the piece has one of these names and must not be produced from text.
bool becomes_control(std::string_view piece, const Names& control, const std::string& origin) {
  if (control.empty()) return false;
  std::string_view name;
  uint64_t type = kNormal;
  for (const ProtobufField& field : read_protobuf(piece, origin)) {
    if (field.number == kPieceName) name = field.bytes;
    if (field.number == kPieceType) type = field.value;
  }
  const bool comes_out = type == kNormal || type == kUserDefined || type == kUnused;
  return comes_out && control.contains(name);
}

// Of a repeated field the last value counts, so that the change is appended.
std::string as_control_piece(std::string_view piece) {
  return protobuf_message(kPiece, std::string(piece).append(protobuf_number(kPieceType, kControl)));
}

std::string without_space_in_front() {
  return protobuf_message(kNormalizerSpec, protobuf_number(kAddDummyPrefix, 0));
}

}  // namespace

SentencePieceModel check_sentencepiece_model(std::string_view bytes,
                                             const std::set<std::string, std::less<>>& control,
                                             const std::string& origin) {
  SentencePieceModel model;
  model.serialized.reserve(bytes.size());
  for (const ProtobufField& field : read_protobuf(bytes, origin)) {
    if (field.number == kTrainerSpec) check_trainer_spec(field.bytes, origin);
    if (field.number == kNormalizerSpec) check_normalizer_spec(field.bytes, origin, model);
    // Not needed: Precis decodes by the pieces, and the library would print a failing self-test.
    if (field.number == kSelfTestData || field.number == kDenormalizerSpec) continue;
    if (field.number == kPiece && becomes_control(field.bytes, control, origin)) {
      model.serialized += as_control_piece(field.bytes);
    } else {
      model.serialized += field.whole;
    }
  }
  model.serialized_without_space = model.serialized + without_space_in_front();
  return model;
}

}  // namespace precis
