// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace precis {

// Beyond these a text is refused: a few bytes a level would overflow the stack of whoever walks
// through the values.
inline constexpr size_t kMaxJsonDepth = 200;  // objects and arrays within each other
inline constexpr size_t kMaxJsonBytes = size_t{1} << 28;

enum class JsonNumbers {
  kFinite,  // as the standard has them
  kPython,  // Infinity, -Infinity and NaN too, which Python's json module writes and reads
};

// Why a text is no JSON, and where: counted from 1, columns in bytes.
struct JsonFault {
  size_t line = 1;
  size_t column = 1;
  std::string reason;
};

// The value of a JSON text in UTF-8; of keys that stand twice, the last. A text that is no JSON or
// beyond the limits gives a value that is_discarded(), and its fault where one is asked for.
nlohmann::json parse_json(std::string_view text,
                          JsonNumbers numbers = JsonNumbers::kFinite,
                          JsonFault* fault = nullptr);

// For messages: "line 3, column 7: ..."
std::string to_text(const JsonFault& fault);

}  // namespace precis
