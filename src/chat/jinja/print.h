// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "chat/jinja/value.h"

namespace precis::jinja {

// As Python's str() and repr(). Texts inside containers keep their origins.
Text to_text(Budget& budget, const Value& value);
void add_text(TextBuilder& out, const Value& value);
void add_repr(TextBuilder& out, const Value& value);
std::string format_double(double number);

}  // namespace precis::jinja
