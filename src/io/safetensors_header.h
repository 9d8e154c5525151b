// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

// Larger headers are refused, as by the reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr std::string_view kSafetensorsMetadataKey = "__metadata__";

// One tensor in the JSON header; offsets count from the end of the header.
struct SafetensorsEntry {
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::map<std::string, SafetensorsEntry> entries;  // by name
  std::map<std::string, std::string> metadata;
};

// Reads the JSON header. Memory use is proportional to the text for any content. Throws
// kBadWeights, naming `source`, unless the structure is exactly that of a header; the caller checks
// the values.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& source);

// Bytes of one element; nullopt for a dtype outside the format, or of less than one byte.
std::optional<uint64_t> safetensors_element_bytes(std::string_view dtype);
// Bytes of a whole tensor; nullopt if the number exceeds int64_t.
std::optional<uint64_t> safetensors_bytes(uint64_t element_bytes, std::span<const int64_t> shape);

}  // namespace precis
