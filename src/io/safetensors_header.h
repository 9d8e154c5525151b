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

// Headers beyond this are refused, by the reference implementation too.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr std::string_view kSafetensorsMetadataKey = "__metadata__";

// What the JSON header says of one tensor; offsets count from the end of the header.
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

// Reads the JSON header. Memory stays in proportion to the text, whatever it says. Throws
// kBadWeights, naming `source`, unless the structure is exactly that of a header; what the values
// mean is left to the caller.
SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& source);

// Bytes of one element; nullopt for a dtype outside the format, or packed below one byte.
std::optional<uint64_t> safetensors_element_bytes(std::string_view dtype);
// Bytes of a whole tensor; nullopt if they are more than an int64_t counts.
std::optional<uint64_t> safetensors_bytes(uint64_t element_bytes, std::span<const int64_t> shape);

}  // namespace precis
