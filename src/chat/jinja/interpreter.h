// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "chat/jinja/ast.h"
#include "chat/jinja/callables.h"

namespace precis::jinja {

using Variables = std::map<std::string, Value, std::less<>>;

// Runs a template. Errors name the line.
Text interpret(const Body& program, Environment& environment, Variables variables);

}  // namespace precis::jinja
