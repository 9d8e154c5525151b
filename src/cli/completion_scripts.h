// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/command_words.h"

namespace precis::cli {

// Scripts that a shell reads to complete commands, flags and the values of flags; where a flag
// takes any value, files. `words`: of the program.
std::string bash_completion(const CommandWords& words);
std::string zsh_completion(const CommandWords& words);
std::string fish_completion(const CommandWords& words);

}  // namespace precis::cli
