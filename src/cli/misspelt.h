// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>

namespace precis::cli {

// An error message for arguments that could not be parsed: names the first unknown command or flag
// and suggests the nearest. None: the error is another one.
std::optional<std::string> misspelt(const CLI::App& app, std::span<const std::string> arguments);

}  // namespace precis::cli
