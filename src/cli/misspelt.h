// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

namespace precis::cli {

// Of arguments that the program could not read: the first that is no command, or no flag of the
// command before it, and what was probably meant. None: something else is wrong with them.
std::optional<std::string> misspelt(const CLI::App& app, std::span<const std::string> arguments);

}  // namespace precis::cli
