// SPDX-License-Identifier: Apache-2.0
#include "compressors/settings_reader.h"

#include <cmath>
#include <utility>

#include "base/check.h"

namespace precis {

SettingsReader::SettingsReader(const CompressorSettings& settings,
                               ErrorKind kind,
                               std::string origin)
    : settings_(settings), kind_(kind), origin_(std::move(origin)) {}

void SettingsReader::read(const std::string& name, bool& field) {
  const SettingValue* value = find(name);
  if (value == nullptr) return;
  if (!std::holds_alternative<bool>(*value)) fail_type(name, "true or false");
  field = std::get<bool>(*value);
}

void SettingsReader::read(const std::string& name, int64_t& field) {
  const SettingValue* value = find(name);
  if (value == nullptr) return;
  if (!std::holds_alternative<int64_t>(*value)) fail_type(name, "an integer");
  field = std::get<int64_t>(*value);
}

void SettingsReader::read(const std::string& name, double& field) {
  const SettingValue* value = find(name);
  if (value == nullptr) return;
  if (const auto* whole = std::get_if<int64_t>(value)) {
    field = static_cast<double>(*whole);
    return;
  }
  if (!std::holds_alternative<double>(*value)) fail_type(name, "a number");
  field = std::get<double>(*value);
}

void SettingsReader::read(const std::string& name, std::string& field) {
  const SettingValue* value = find(name);
  if (value == nullptr) return;
  if (!std::holds_alternative<std::string>(*value)) fail_type(name, "a text");
  field = std::get<std::string>(*value);
}

void SettingsReader::read_at_least(int64_t smallest, const std::string& name, int64_t& field) {
  read(name, field);
  if (field < smallest)
    fail(kind_, origin_, ": ", name, " is ", field, ", expected at least ", smallest);
}

void SettingsReader::read_ratio(const std::string& name, double& field) {
  read(name, field);
  if (!(field >= 1 && std::isfinite(field)))
    fail(kind_, origin_, ": ", name, " is ", field, ", expected at least 1");
}

void SettingsReader::read_choice(const std::string& name,
                                 const char* yes,
                                 const char* no,
                                 bool& field) {
  std::string text = field ? yes : no;
  read(name, text);
  if (text != yes && text != no)
    fail(kind_, origin_, ": ", name, " is \"", text, "\", expected ", yes, " or ", no);
  field = text == yes;
}

void SettingsReader::check_all_read() const {
  for (const auto& [name, value] : settings_) {
    if (!read_.contains(name)) fail(kind_, origin_, ": there is no setting \"", name, "\"");
  }
}

const SettingValue* SettingsReader::find(const std::string& name) {
  read_.insert(name);
  const auto found = settings_.find(name);
  return found == settings_.end() ? nullptr : &found->second;
}

void SettingsReader::fail_type(const std::string& name, const char* expected) const {
  fail(kind_, origin_, ": ", name, " is of another type, expected ", expected);
}

}  // namespace precis
