// SPDX-License-Identifier: Apache-2.0
// precis help: the commands, or the flags of one.
#include <iostream>

#include "cli/choices.h"
#include "cli/commands.h"

namespace precis::cli {

std::string list_of_commands(const CLI::App& app) {
  return app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal);
}

void add_help(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  CLI::App* help = app.add_subcommand("help", "List the commands, or the flags of one");
  auto name = std::make_shared<std::string>();
  help->add_option("command", *name, "command whose flags to list")->check(one_of(names));
  help->callback([&app, name] {
    std::cout << (name->empty() ? list_of_commands(app) : app.get_subcommand(*name)->help("precis"))
              << std::flush;
  });
}

}  // namespace precis::cli
