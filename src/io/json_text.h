// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace precis {

// Limits of a text. Without a limit of depth, recursion over a deeply nested value would overflow
// the stack.
inline constexpr size_t kMaxJsonDepth = 200;  // objects and arrays within each other
inline constexpr size_t kMaxJsonBytes = size_t{1} << 28;

enum class JsonNumbers {
  kFinite,  // as the standard has them
  kPython,  // Infinity, -Infinity and NaN too, which Python's json module writes and reads
};

// A syntax error and its place: line and column from 1, columns in bytes.
struct JsonFault {
  size_t line = 1;
  size_t column = 1;
  std::string reason;
};

// Parses a JSON text in UTF-8; of duplicate keys the last one counts. A text that is not JSON or
// exceeds the limits gives a value that is_discarded(), and its fault if `fault` is not null.
nlohmann::json parse_json(std::string_view text,
                          JsonNumbers numbers = JsonNumbers::kFinite,
                          JsonFault* fault = nullptr);

// For messages: "line 3, column 7: ..."
std::string to_text(const JsonFault& fault);

}  // namespace precis
