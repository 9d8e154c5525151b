// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "chat/jinja/value.h"

namespace precis::jinja {

// As the parameters of Python's json.dumps.
struct JsonStyle {
  std::optional<Text> indent;  // what one level is indented by; one line if absent
  Text item_separator = Text(", ");
  Text key_separator = Text(": ");
  bool ascii_only = false;
  bool sorted_keys = false;
};

// The characters of texts keep their origins.
Text write_json(Budget& budget, const Value& value, const JsonStyle& style);

// All strings get the origin `source`. `what` names the text in the message of an error.
Value read_json(Budget& budget, std::string_view json, std::string_view what, int source);

}  // namespace precis::jinja
