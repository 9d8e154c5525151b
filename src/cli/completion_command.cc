// SPDX-License-Identifier: Apache-2.0
// precis completion: shell scripts that complete commands, flags and values.
#include <iostream>

#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/completion_scripts.h"

namespace precis::cli {

void add_completion(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("completion", "Print the completion script for bash, zsh or fish");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(one_of({"bash", "zsh", "fish"}));
  command->callback([&app, shell] {
    const CommandWords words = command_words(app);
    if (*shell == "bash") std::cout << bash_completion(words);
    if (*shell == "zsh") std::cout << zsh_completion(words);
    if (*shell == "fish") std::cout << fish_completion(words);
    std::cout << std::flush;
  });
}

}  // namespace precis::cli
