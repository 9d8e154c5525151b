// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "chat/jinja/callables.h"
#include "chat/jinja/value.h"

namespace precis::jinja {

// "%s is %d" % arguments: a tuple, a dict or one value. Of the conversions s, r, d, i, f and %%,
// with a precision for f.
Value format_percent(Budget& budget, const Text& pattern, const Value& arguments);

// "{} {0} {name}".format(...), without conversions, specifications and attributes.
Value format_braces(Budget& budget, const Text& pattern, const Arguments& arguments);

}  // namespace precis::jinja
