// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

// One field of a protocol buffer message, as stored.
struct ProtobufField {
  uint64_t number;
  uint64_t value = 0;      // of a varint
  std::string_view bytes;  // of a string or nested message
  std::string_view whole;  // with its key and length
};

// Throws kBadWeights, naming `origin`, if the bytes are not a message.
std::vector<ProtobufField> read_protobuf(std::string_view message, const std::string& origin);

// Fields as a message holds them.
std::string protobuf_number(uint64_t field, uint64_t value);
std::string protobuf_message(uint64_t field, std::string_view bytes);

}  // namespace precis
