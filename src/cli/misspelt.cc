// SPDX-License-Identifier: Apache-2.0
#include "cli/misspelt.h"

#include <vector>

#include "base/check.h"
#include "base/nearest.h"

namespace precis::cli {
namespace {

// The command whose flags an action accepts, too (`precis bank add --bank B`).
const CLI::App* flags_parent(const CLI::App& command) {
  return command.get_fallthrough() ? command.get_parent() : nullptr;
}

const CLI::Option* flag_named(const CLI::App& command, const std::string& name) {
  for (const CLI::App* one = &command; one != nullptr; one = flags_parent(*one))
    if (const CLI::Option* found = one->get_option_no_throw(name)) return found;
  return nullptr;
}

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* one = &command; one != nullptr; one = flags_parent(*one)) {
    for (const CLI::Option* option : one->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

const CLI::App* command_named(const CLI::App& parent, const std::string& name) {
  for (const CLI::App* one : parent.get_subcommands([](const CLI::App*) { return true; }))
    if (one->get_name() == name) return one;
  return nullptr;
}

std::vector<std::string> commands_of(const CLI::App& parent) {
  std::vector<std::string> names;
  for (const CLI::App* one : parent.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(one->get_name());
  return names;
}

// "precis", "precis bank".
std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : path_of(*parent) + " " + command.get_name();
}

std::string unknown_flag(const CLI::App& command, const std::string& flag) {
  const std::string meant = did_you_mean(flag, flags_of(command));
  const std::string path = path_of(command);
  return concat(
      path, " has no flag ", flag, meant.empty() ? "; " + path + " --help lists them" : meant);
}

std::string unknown_command(const CLI::App& parent, const std::string& name) {
  const std::string meant = did_you_mean(name, commands_of(parent));
  const std::string path = path_of(parent);
  return concat(
      path, " has no command ", name, meant.empty() ? "; " + path + " --help lists them" : meant);
}

}  // namespace

std::optional<std::string> misspelt(const CLI::App& app, std::span<const std::string> arguments) {
  const CLI::App* command = &app;
  bool value_follows = false;
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument.starts_with("--")) {
      const size_t equals = argument.find('=');
      const std::string flag = argument.substr(0, equals);
      const CLI::Option* option = flag_named(*command, flag);
      if (option == nullptr) return unknown_flag(*command, flag);
      value_follows = equals == std::string::npos && option->get_items_expected_max() > 0;
      continue;
    }
    const bool is_value = value_follows || argument.starts_with("-");
    value_follows = false;
    if (is_value || command->get_require_subcommand_min() == 0) continue;
    const CLI::App* next = command_named(*command, argument);
    if (next == nullptr) return unknown_command(*command, argument);
    command = next;
  }
  return std::nullopt;
}

}  // namespace precis::cli
