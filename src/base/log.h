// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "precis/log.h"

namespace precis {

// Hands a message to the application's sink, if there is one.
void log(LogLevel level, std::string_view message);

}  // namespace precis
