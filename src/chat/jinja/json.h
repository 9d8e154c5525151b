// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "chat/jinja/value.h"

// JSON text <-> values.
namespace precis::jinja {

// The parameters of Python's json.dumps.
struct JsonStyle {
  std::optional<Text> indent;  // of one level; absent: all on one line
  Text item_separator = Text(", ");
  Text key_separator = Text(": ");
  bool ascii_only = false;
  bool sorted_keys = false;
};

// A value as JSON. The characters of texts keep their origins.
Text write_json(Budget& budget, const Value& value, const JsonStyle& style);

// The value of a JSON text, with the order of its keys; strings have the origin `source`. Throws
// kInvalidArgument for text that is not JSON, naming `what`, the line and the column.
Value read_json(Budget& budget, std::string_view json, std::string_view what, int source);

}  // namespace precis::jinja
