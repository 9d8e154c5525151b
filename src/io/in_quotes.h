// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace precis {

// Quotes untrusted text for a message: one line of printable ASCII, of bounded length.
std::string in_quotes(std::string_view text);

}  // namespace precis
