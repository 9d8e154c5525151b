// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace precis::cli {

// A recipe is a JSON object of a command's flags without their dashes: {"steps": 1000}. Flags that
// name files or machines are left out, so that it works elsewhere. For a command that runs several
// times it has "stages", an array of objects, whose flags override those beside it.

// The flags of each stage; one stage if the recipe has none. Throws kNotFound or kInvalidArgument
// naming the file.
std::vector<nlohmann::json> read_recipe(const std::filesystem::path& path);

// Sets the command's flags to those of a stage, but for flags that were given already and those
// that these exclude. Throws kInvalidArgument naming `path` and the key if the command does not
// know the key, cannot parse the value, or if the key is one of `left_out` (with dashes): a recipe
// from elsewhere must not choose which files are opened.
void apply_recipe(CLI::App& command,
                  const nlohmann::json& stage,
                  const std::filesystem::path& path,
                  const std::vector<std::string>& left_out);

// Gives `to`, an option of the same command defined again, what was given to `from`.
void give_again(const CLI::Option& from, CLI::Option& to);

// The values of all flags of the command but `left_out` (with dashes).
nlohmann::json recipe_of(const CLI::App& command, const std::vector<std::string>& left_out);

}  // namespace precis::cli
