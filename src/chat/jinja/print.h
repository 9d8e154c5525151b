// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "chat/jinja/callables.h"
#include "chat/jinja/value.h"

// Values as text: str(), repr() and the two ways of formatting.
namespace precis::jinja {

// As Python's str() and repr(). Texts in containers keep their origins.
Text to_text(Budget& budget, const Value& value);
void add_text(TextBuilder& out, const Value& value);
void add_repr(TextBuilder& out, const Value& value);
std::string format_double(double number);

// "%s is %d" % arguments, which are a tuple, a dict or one value. Conversions: s, r, d, i, f (with
// a precision) and %%.
Value format_percent(Budget& budget, const Text& pattern, const Value& arguments);

// "{} {0} {name}".format(...), without conversions, specifications and attributes.
Value format_braces(Budget& budget, const Text& pattern, const Arguments& arguments);

}  // namespace precis::jinja
