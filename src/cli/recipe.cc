// SPDX-License-Identifier: Apache-2.0
#include "cli/recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/json_file.h"

namespace precis::cli {
namespace {

std::string text_of(const nlohmann::json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::string joined;
  for (const nlohmann::json& item : value) joined += (joined.empty() ? "" : ",") + text_of(item);
  return joined;
}

// A number or boolean if the text is one, else a string.
nlohmann::json value_of(const std::string& text) {
  nlohmann::json value = parse_json(text);
  return value.is_number() || value.is_boolean() ? value : nlohmann::json(text);
}

// CLI11 writes lists as "[a,b]".
std::string default_of(const CLI::Option& option) {
  const std::string text = option.get_default_str();
  const bool list = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  return list ? text.substr(1, text.size() - 2) : text;
}

std::string joined_results(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return "true";  // a flag, however often
  std::string joined;
  for (const std::string& result : option.results()) joined += (joined.empty() ? "" : ",") + result;
  return joined;
}

}  // namespace

std::vector<nlohmann::json> read_recipe(const std::filesystem::path& path) {
  nlohmann::json common = read_json(path);
  PRECIS_CHECK(common.is_object(), kInvalidArgument, path.string(), ": not a JSON object");
  const auto found = common.find("stages");
  if (found == common.end()) return {common};
  const nlohmann::json own = *found;
  common.erase(found);
  const auto is_object = [](const nlohmann::json& stage) { return stage.is_object(); };
  PRECIS_CHECK(own.is_array() && !own.empty() && std::ranges::all_of(own, is_object),
               kInvalidArgument,
               path.string(),
               ": stages: not an array of JSON objects");
  std::vector<nlohmann::json> stages;
  for (const nlohmann::json& stage : own) stages.emplace_back(common).update(stage);
  return stages;
}

void give_again(const CLI::Option& from, CLI::Option& to) {
  to.add_result(from.results());
  to.run_callback();
}

void apply_recipe(CLI::App& command,
                  const nlohmann::json& stage,
                  const std::filesystem::path& path,
                  const std::vector<std::string>& left_out) {
  for (const auto& [key, value] : stage.items()) {
    PRECIS_CHECK(std::ranges::count(left_out, "--" + key) == 0,
                 kInvalidArgument,
                 path.string(),
                 ": ",
                 key,
                 " names a file or a machine, which a recipe may not do: give --",
                 key,
                 " to the command");
    CLI::Option* option = command.get_option_no_throw("--" + key);
    PRECIS_CHECK(option != nullptr,
                 kInvalidArgument,
                 path.string(),
                 ": ",
                 command.get_name(),
                 " has no flag --",
                 key);
    const auto given = [](const CLI::Option* other) { return other->count() > 0; };
    if (given(option) || std::ranges::any_of(option->get_excludes(), given)) continue;
    try {
      option->add_result(text_of(value));
      option->run_callback();
    } catch (const CLI::Error& error) {
      fail(ErrorKind::kInvalidArgument, path.string(), ": ", key, ": ", error.what());
    }
  }
}

nlohmann::json recipe_of(const CLI::App& command, const std::vector<std::string>& left_out) {
  nlohmann::json recipe = nlohmann::json::object();
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    if (!name.starts_with("--") || name == "--help" || std::ranges::count(left_out, name) > 0)
      continue;
    std::string joined = default_of(*option);
    if (option->count() > 0) joined = joined_results(*option);
    if (!joined.empty()) recipe[name.substr(2)] = value_of(joined);
  }
  return recipe;
}

}  // namespace precis::cli
