// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace precis::cli {

// What was built, of what, and for which processor it computes here: a line each.
std::string version_text();

}  // namespace precis::cli
