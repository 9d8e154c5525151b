// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "chat/jinja/ast.h"

namespace precis::jinja {

// Throws kInvalidArgument for a syntax error, kUnsupported for what Precis lacks; both messages
// name the line.
Body parse_template(std::string_view source);

}  // namespace precis::jinja
