// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>

#include "chat/jinja/text.h"

namespace precis::jinja {

// As C's strftime in the "C" locale, in UTC, whatever the locale and the time zone of the program.
// What a field becomes has the origin of the field.
Text format_date(Budget& budget, std::chrono::sys_seconds time, const Text& format);

}  // namespace precis::jinja
