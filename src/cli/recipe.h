// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace precis::cli {

// A recipe is a JSON object of a command's flags without their dashes: {"steps": 1000}. What names
// files and machines is no part of it, so that it works elsewhere. A command that is to run several
// times has "stages" beside them, an array of objects: what each says goes before what all say.

// The flags of each stage, all said; one where the recipe has no stages. Throws kNotFound or
// kInvalidArgument naming the file.
std::vector<nlohmann::json> read_recipe(const std::filesystem::path& path);

// Gives the command what a stage says, but for flags that were given already and those that these
// exclude. `path` is for messages: throws kInvalidArgument naming it and the key that the command
// does not know or cannot read, or that is one of `left_out` (with dashes): a recipe of others is
// to open no file that its user did not name.
void apply_recipe(CLI::App& command,
                  const nlohmann::json& stage,
                  const std::filesystem::path& path,
                  const std::vector<std::string>& left_out);

// Gives `to`, an option of the same command defined again, what was given to `from`.
void give_again(const CLI::Option& from, CLI::Option& to);

// All flags of the command as they are, but for `left_out` (with dashes).
nlohmann::json recipe_of(const CLI::App& command, const std::vector<std::string>& left_out);

}  // namespace precis::cli
