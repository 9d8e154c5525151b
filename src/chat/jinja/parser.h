// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "chat/jinja/ast.h"

// Tokens -> statements.
namespace precis::jinja {

// Parses a template. Throws kInvalidArgument for a syntax error, kUnsupported for a construct
// outside the subset; both messages name the line.
Body parse_template(std::string_view source);

}  // namespace precis::jinja
