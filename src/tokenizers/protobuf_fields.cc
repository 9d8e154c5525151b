// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/protobuf_fields.h"

#include "base/check.h"

namespace precis {
namespace {

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

class Reader {
 public:
  Reader(std::string_view message, const std::string& origin)
      : message_(message), origin_(&origin) {}

  bool at_end() const { return position_ == message_.size(); }

  ProtobufField next() {
    const size_t begin = position_;
    const uint64_t key = varint();
    ProtobufField field{key >> 3u, 0, {}, {}};
    switch (key & 7u) {
      case kVarint:
        field.value = varint();
        break;
      case kFixed64:
        take(8);
        break;
      case kBytes:
        field.bytes = take(varint());
        break;
      case kFixed32:
        take(4);
        break;
      default:
        refuse();
    }
    field.whole = message_.substr(begin, position_ - begin);
    return field;
  }

 private:
  [[noreturn]] void refuse() const {
    fail(ErrorKind::kBadWeights, *origin_, ": not a protocol buffer message, at byte ", position_);
  }

  std::string_view take(uint64_t size) {
    if (size > message_.size() - position_) refuse();
    position_ += static_cast<size_t>(size);
    return message_.substr(position_ - static_cast<size_t>(size), static_cast<size_t>(size));
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse();
  }

  std::string_view message_;
  const std::string* origin_;
  size_t position_ = 0;
};

std::string to_varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7u) bytes += static_cast<char>(0x80u | (value & 0x7Fu));
  return bytes += static_cast<char>(value);
}

}  // namespace

std::vector<ProtobufField> read_protobuf(std::string_view message, const std::string& origin) {
  std::vector<ProtobufField> fields;
  for (Reader reader(message, origin); !reader.at_end();) fields.push_back(reader.next());
  return fields;
}

std::string protobuf_number(uint64_t field, uint64_t value) {
  return to_varint(field << 3u | kVarint) + to_varint(value);
}

std::string protobuf_message(uint64_t field, std::string_view bytes) {
  return to_varint(field << 3u | kBytes) + to_varint(bytes.size()).append(bytes);
}

}  // namespace precis
