// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace precis {

// The sentences of a text, in order; joined they are the text. A sentence begins with the space
// before it and ends with ".", "!" or "?" before a space, with the Chinese forms of these and
// quotation marks after them, or at an empty line. REQUIRES: valid UTF-8.
std::vector<std::string> sentences_of(std::string_view text);

}  // namespace precis
