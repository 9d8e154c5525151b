// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace precis::cli {

// Checks that a value is one of `names`; the error message lists them and suggests the nearest.
CLI::Validator one_of(std::vector<std::string> names);

// The same for CLI::Option::transform: a name, in upper or lower case, becomes its number.
CLI::Validator number_of(std::vector<std::pair<std::string, int>> numbers);

template <typename Value>
std::vector<std::string> names_of(const std::map<std::string, Value>& values) {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : values) names.push_back(name);
  return names;
}

template <typename Enum>
CLI::Validator number_of(const std::map<std::string, Enum>& values) {
  std::vector<std::pair<std::string, int>> numbers;
  for (const auto& [name, value] : values) numbers.emplace_back(name, static_cast<int>(value));
  return number_of(std::move(numbers));
}

// The values that an option's one_of() or number_of() allows; empty: it has neither.
std::vector<std::string> choices_of(const CLI::Option& option);

}  // namespace precis::cli
