// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "io/gguf_parts.h"

namespace precis {
namespace {

// Types, with the numbers of the file format.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// Type and number of the values; a single value is read as an array of one.
struct Extent {
  bool is_array;
  uint64_t count;
};

template <typename Stored, typename Wide>
std::vector<Wide> widened(ByteReader& reader, uint64_t count, std::string_view what) {
  // Divides rather than multiplies, so that count * sizeof cannot wrap around.
  if (count > reader.remaining() / sizeof(Stored)) {
    reader.reject(what, " has ", count, " numbers, but only ", reader.remaining(), " bytes left");
  }
  const std::byte* bytes = reader.take(count * sizeof(Stored), what).data();
  std::vector<Wide> values(count);
  for (Wide& value : values) {
    Stored stored;
    std::memcpy(&stored, bytes, sizeof(stored));
    bytes += sizeof(stored);
    value = stored;
  }
  return values;
}

template <typename Stored, typename Wide>
GgufValue read_numbers(ByteReader& reader, Extent extent, std::string_view what) {
  std::vector<Wide> values = widened<Stored, Wide>(reader, extent.count, what);
  if (extent.is_array) return values;
  return values.front();
}

GgufValue read_booleans(ByteReader& reader, Extent extent, std::string_view what) {
  std::vector<uint64_t> values = widened<uint8_t, uint64_t>(reader, extent.count, what);
  for (const uint64_t value : values) {
    if (value > 1) reader.reject(what, " has a boolean of value ", value, ", expected 0 or 1");
  }
  if (extent.is_array) return values;
  return values.front() == 1;
}

GgufValue read_strings(ByteReader& reader, Extent extent, std::string_view what) {
  if (!extent.is_array) return reader.text(what);
  if (extent.count > reader.remaining() / sizeof(uint64_t)) {
    reader.reject(
        what, " has ", extent.count, " strings, but only ", reader.remaining(), " bytes left");
  }
  std::vector<std::string_view> values(extent.count);
  for (std::string_view& value : values) value = reader.text(what);
  return values;
}

GgufValue read_values(ByteReader& reader, uint32_t type, Extent extent, std::string_view what) {
  switch (static_cast<ValueType>(type)) {
    case ValueType::kUint8:
      return read_numbers<uint8_t, uint64_t>(reader, extent, what);
    case ValueType::kUint16:
      return read_numbers<uint16_t, uint64_t>(reader, extent, what);
    case ValueType::kUint32:
      return read_numbers<uint32_t, uint64_t>(reader, extent, what);
    case ValueType::kUint64:
      return read_numbers<uint64_t, uint64_t>(reader, extent, what);
    case ValueType::kInt8:
      return read_numbers<int8_t, int64_t>(reader, extent, what);
    case ValueType::kInt16:
      return read_numbers<int16_t, int64_t>(reader, extent, what);
    case ValueType::kInt32:
      return read_numbers<int32_t, int64_t>(reader, extent, what);
    case ValueType::kInt64:
      return read_numbers<int64_t, int64_t>(reader, extent, what);
    case ValueType::kFloat32:
      return read_numbers<float, double>(reader, extent, what);
    case ValueType::kFloat64:
      return read_numbers<double, double>(reader, extent, what);
    case ValueType::kBool:
      return read_booleans(reader, extent, what);
    case ValueType::kString:
      return read_strings(reader, extent, what);
    case ValueType::kArray:
      fail(ErrorKind::kUnsupported, reader.source(), ": ", what, " is an array of arrays");
  }
  reader.reject(what, " has value type ", type, ", expected 0 to 12");
}

}  // namespace

GgufValue read_gguf_value(ByteReader& reader, std::string_view what) {
  const auto type = reader.number<uint32_t>(what);
  if (type != static_cast<uint32_t>(ValueType::kArray)) {
    return read_values(reader, type, {.is_array = false, .count = 1}, what);
  }
  const auto element_type = reader.number<uint32_t>(what);
  const auto count = reader.number<uint64_t>(what);
  return read_values(reader, element_type, {.is_array = true, .count = count}, what);
}

}  // namespace precis
