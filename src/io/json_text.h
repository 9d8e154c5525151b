// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace precis {

// Limits of a text. Without a limit on depth, recursion over a deeply nested value would overflow
// the stack.
inline constexpr size_t kMaxJsonDepth = 200;  // nested objects and arrays
inline constexpr size_t kMaxJsonBytes = size_t{1} << 28;

enum class JsonNumbers {
  kFinite,  // as in the JSON standard
  kPython,  // also Infinity, -Infinity and NaN, as Python's json module
};

// A syntax error and its position: line and column from 1, columns in bytes.
struct JsonFault {
  size_t line = 1;
  size_t column = 1;
  std::string reason;
};

// Parses a JSON text in UTF-8. The last of duplicate keys counts. Returns a value that
// is_discarded() if the text is not JSON or exceeds the limits; `fault`, if not null, says why.
nlohmann::json parse_json(std::string_view text,
                          JsonNumbers numbers = JsonNumbers::kFinite,
                          JsonFault* fault = nullptr);

// For messages: "line 3, column 7: ..."
std::string to_text(const JsonFault& fault);

}  // namespace precis
