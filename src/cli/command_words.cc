// SPDX-License-Identifier: Apache-2.0
#include "cli/command_words.h"

#include "cli/choices.h"

namespace precis::cli {
namespace {

void add_option_words(const CLI::Option& option, CommandWords& words) {
  if (option.get_group().empty()) return;  // hidden: former names
  const std::vector<std::string> choices = choices_of(option);
  for (const std::string& name : option.get_lnames()) {
    words.flags.push_back(
        {"--" + name, option.get_description(), option.get_items_expected_max() > 0, choices});
  }
  if (option.get_positional()) words.arguments = choices;
}

CommandWords words_below(const CLI::App& app, const std::string& path) {
  CommandWords words{path, app.get_description(), {}, {}, {}};
  for (const CLI::Option* option : app.get_options()) add_option_words(*option, words);
  if (app.get_fallthrough() && app.get_parent() != nullptr) {
    for (const CLI::Option* option : app.get_parent()->get_options())
      if (!option->check_name("--help")) add_option_words(*option, words);
  }
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string name = below->get_name();
    words.commands.push_back(words_below(*below, path.empty() ? name : path + " " + name));
  }
  return words;
}

}  // namespace

CommandWords command_words(const CLI::App& app) { return words_below(app, ""); }

}  // namespace precis::cli
