// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace precis::cli {

// A flag, as shell completion needs it.
struct FlagWords {
  std::string name;  // with its dashes
  std::string description;
  bool takes_value = false;
  std::vector<std::string> choices;  // allowed values; empty: any, or a file
};

// A command, or an action of one ("bank add").
struct CommandWords {
  std::string path;  // "bank add"; the program itself: empty
  std::string description;
  std::vector<FlagWords> flags;
  std::vector<std::string> arguments;  // positional ones
  std::vector<CommandWords> commands;  // below it
};

// The whole tree of commands, read from CLI11, so that completion cannot get out of date.
CommandWords command_words(const CLI::App& app);

}  // namespace precis::cli
