// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace precis::cli {

// Version, commit, libtorch and the instruction set in use, a line each.
std::string version_text();

}  // namespace precis::cli
