// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace precis::cli {

// What a shell has to know of a flag to complete it.
struct FlagWords {
  std::string name;  // with its dashes
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;  // that the value is one of; empty: any, or a file
};

// The same of a command, or of an action of one ("bank add").
struct CommandWords {
  std::string path;  // without the program's name, which is the first, empty one
  std::string description;
  std::vector<FlagWords> flags;
  std::vector<std::string> arguments;  // positional ones
  std::vector<CommandWords> commands;  // below it
};

// The whole tree, as it was defined: there is nothing to keep in step.
CommandWords command_words(const CLI::App& app);

}  // namespace precis::cli
