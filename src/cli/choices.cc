// SPDX-License-Identifier: Apache-2.0
#include "cli/choices.h"

#include <algorithm>

#include "base/check.h"
#include "base/nearest.h"

namespace precis::cli {
namespace {

std::string joined(const std::vector<std::string>& names, const char* between) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : between) + name;
  return text;
}

// In the format of CLI11's own sets.
std::string described(const std::vector<std::string>& names) {
  return "{" + joined(names, ",") + "}";
}

std::string refusal(const std::string& value, const std::vector<std::string>& names) {
  return concat("\"", value, "\" is none of ", joined(names, ", "), did_you_mean(value, names));
}

}  // namespace

CLI::Validator one_of(std::vector<std::string> names) {
  const std::string description = described(names);
  return CLI::Validator(
      [names = std::move(names)](const std::string& value) {
        return std::ranges::count(names, value) > 0 ? std::string() : refusal(value, names);
      },
      description);
}

CLI::Validator number_of(std::vector<std::pair<std::string, int>> numbers) {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : numbers) names.push_back(name);
  const std::string description = described(names);
  return CLI::Validator(
      [numbers = std::move(numbers), names = std::move(names)](std::string& value) {
        const std::string wanted = CLI::detail::to_lower(value);
        for (const auto& [name, number] : numbers) {
          if (name != wanted) continue;
          value = std::to_string(number);
          return std::string();
        }
        return refusal(value, names);
      },
      description);
}

std::vector<std::string> choices_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find(":{"), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return CLI::detail::split(type.substr(open + 2, close - open - 2), ',');
}

}  // namespace precis::cli
