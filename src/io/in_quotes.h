// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// Text from a file between quotes, for a message: on one line, printable and of bounded length
// whatever the file says.
std::string in_quotes(std::string_view text);

}  // namespace precis
