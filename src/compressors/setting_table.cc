// SPDX-License-Identifier: Apache-2.0
#include "compressors/setting_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/check.h"

namespace precis {
namespace {

using nlohmann::json;
using Limit = Setting::Limit;
using Type = SettingFlag::Type;

// The names, last one first: "spread" or "after".
std::string either_of(const std::vector<std::string>& names, const char* mark) {
  std::string text;
  for (size_t i = names.size(); i-- > 0;)
    text += concat(mark, names[i], mark, i > 1 ? ", " : i == 1 ? " or " : "");
  return text;
}

bool is_token_id(const json& value) {
  using Limits = std::numeric_limits<TokenId>;
  return value.is_number_integer() && value >= Limits::min() && value <= Limits::max();
}

// One value, to be read into a field. Values of a file stand in messages.
struct Value {
  const json& value;
  const std::string& name;
  ErrorKind kind;
  const std::string& origin;
  bool in_file;

  void operator()(bool* field) const {
    demand(value.is_boolean(), "true or false");
    value.get_to(*field);
  }
  void operator()(int64_t* field) const {
    demand(value.is_number_integer(), "an integer");
    value.get_to(*field);
  }
  void operator()(double* field) const {
    demand(value.is_number(), "a number");
    value.get_to(*field);
  }
  template <typename T>
  void operator()(std::optional<T>* field) const {
    (*this)(&field->emplace());
  }
  void operator()(std::vector<TokenId>* field) const {
    demand(value.is_array(), "an array of ids");
    demand(std::ranges::all_of(value, is_token_id), "token ids");
    value.get_to(*field);
  }
  void operator()(const Choice& choice) const {
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    const auto found = std::ranges::find(choice.names, text);
    const bool known = found != choice.names.end();
    if (in_file) demand(known, either_of(choice.names, "\""));
    demand(value.is_string(), "a text");
    if (!known) refuse(concat('"', text, '"'), either_of(choice.names, ""));
    choice.set(found - choice.names.begin());
  }

  void demand(bool good, const std::string& expected) const {
    if (!good) refuse(in_file ? value.dump() : "of another type", expected);
  }
  [[noreturn]] void refuse(const std::string& actual, const std::string& expected) const {
    fail(kind, origin, ": ", name, " is ", actual, ", expected ", expected);
  }
};

bool is_required(const Setting& setting) {
  return std::holds_alternative<int64_t*>(setting.field) ||
         std::holds_alternative<double*>(setting.field);
}

// The value of a field; none: it is not set, or an array of ids.
struct Get {
  template <typename T>
  std::optional<SettingValue> operator()(const T* field) const {
    return *field;
  }
  template <typename T>
  std::optional<SettingValue> operator()(const std::optional<T>* field) const {
    return *field ? (*this)(&**field) : std::nullopt;
  }
  std::optional<SettingValue> operator()(const std::vector<TokenId>*) const { return std::nullopt; }
  std::optional<SettingValue> operator()(const Choice& choice) const {
    const auto index = choice.get();
    return index ? std::optional<SettingValue>(choice.names.at(*index)) : std::nullopt;
  }
};

std::optional<SettingValue> value_of(const Setting& setting) {
  return std::visit(Get{}, setting.field);
}

bool is_within(Limit limit, double value) {
  if (limit == Limit::kAbove0) return std::isfinite(value) && value > 0;
  return std::isfinite(value) && value >= (limit == Limit::kAtLeast0 ? 0 : 1);
}

const char* in_words(Limit limit) {
  if (limit == Limit::kAbove0) return "a number above 0";
  return limit == Limit::kAtLeast0 ? "at least 0" : "at least 1";
}

Type type_of(const Setting::Field& field) {
  if (std::holds_alternative<bool*>(field)) return Type::kSwitch;
  if (std::holds_alternative<Choice>(field)) return Type::kText;
  const bool number = std::holds_alternative<double*>(field) ||
                      std::holds_alternative<std::optional<double>*>(field);
  return number ? Type::kNumber : Type::kInteger;
}

// None of a switch, which is off unless it is given.
std::string default_of(const Setting& setting) {
  if (setting.default_text) return *setting.default_text;
  const auto value = value_of(setting);
  if (!value || std::holds_alternative<bool>(*value)) return {};
  return std::visit([](const auto& own) { return concat(own); }, *value);
}

SettingFlag flag_of(const Setting& setting) {
  const auto* choice = std::get_if<Choice>(&setting.field);
  return {setting.name,
          type_of(setting.field),
          setting.help,
          default_of(setting),
          choice != nullptr ? choice->names : std::vector<std::string>{}};
}

}  // namespace

SettingTable pick(const SettingTable& table, std::initializer_list<const char*> names) {
  SettingTable picked;
  for (const std::string name : names) {
    const auto found = std::ranges::find(table, name, &Setting::name);
    PRECIS_CHECK(found != table.end(), kInternal, "there is no setting \"", name, "\"");
    picked.push_back(*found);
  }
  return picked;
}

SettingTable pick_flags(const SettingTable& table, std::initializer_list<const char*> names) {
  SettingTable picked = pick(table, names);
  for (Setting& setting : picked)
    if (!setting.flag.empty()) setting.name = setting.flag;
  return picked;
}

void read_settings(const CompressorFiles& files, const SettingTable& table) {
  read_settings(files.config, files.origin(), table);
}

void read_settings(const json& file, const std::string& origin, const SettingTable& table) {
  for (const Setting& setting : table) {
    const json value = file.value(setting.name, json());
    PRECIS_CHECK(!value.is_null() || !is_required(setting),
                 kBadWeights,
                 origin,
                 ": ",
                 setting.name,
                 " is missing");
    if (value.is_null()) continue;
    std::visit(Value{value, setting.name, ErrorKind::kBadWeights, origin, true}, setting.field);
  }
}

void read_settings(const CompressorSettings& given,
                   const SettingTable& table,
                   const std::string& origin) {
  constexpr auto kKind = ErrorKind::kInvalidArgument;
  for (const auto& [name, own] : given) {
    const auto setting = std::ranges::find(table, name, &Setting::name);
    if (setting == table.end()) fail(kKind, origin, ": there is no setting \"", name, "\"");
    const json value = std::visit([](const auto& typed) { return json(typed); }, own);
    std::visit(Value{value, name, kKind, origin, false}, setting->field);
  }
}

void check_limits(const SettingTable& table, ErrorKind kind, const std::string& origin) {
  const auto check = [&](const Setting& setting, const auto& value) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(value)>>) {
      if (!is_within(setting.limit, static_cast<double>(value))) {
        const char* expected = in_words(setting.limit);
        fail(kind, origin, ": ", setting.name, " is ", value, ", expected ", expected);
      }
    }
  };
  for (const Setting& setting : table) {
    const auto value = value_of(setting);
    if (!value || setting.limit == Limit::kNone) continue;
    std::visit([&](const auto& own) { check(setting, own); }, *value);
  }
}

CompressorSettings values_of(const SettingTable& table) {
  CompressorSettings values;
  for (const Setting& setting : table)
    if (const auto value = value_of(setting)) values[setting.name] = *value;
  return values;
}

std::vector<SettingFlag> flags_of(const SettingTable& table) {
  std::vector<SettingFlag> flags;
  std::ranges::transform(table, std::back_inserter(flags), flag_of);
  return flags;
}

json describe(const char* method, const Decoder& decoder, const SettingTable& table) {
  json description{{"method", method}, {"base", describe_base(decoder)}};
  for (const auto& [name, value] : values_of(table))
    std::visit([&](const auto& own) { description[name] = own; }, value);
  for (const Setting& setting : table)
    if (const auto* ids = std::get_if<std::vector<TokenId>*>(&setting.field))
      description[setting.name] = **ids;
  return description;
}

}  // namespace precis
