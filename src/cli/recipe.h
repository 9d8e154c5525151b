// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace precis::cli {

// A recipe is a JSON object of a command's flags without their dashes: {"steps": 1000}. What names
// files and machines is no part of it, so that it works elsewhere.

// Gives the command what the recipe says, but for flags that were given already. Throws kNotFound
// or kInvalidArgument naming the file and the key that the command does not know or cannot read.
void apply_recipe(CLI::App& command, const std::filesystem::path& path);

// All flags of the command as they are, but for `left_out` (with dashes).
nlohmann::json recipe_of(const CLI::App& command, const std::vector<std::string>& left_out);

}  // namespace precis::cli
