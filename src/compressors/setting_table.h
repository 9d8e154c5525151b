// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "compressors/compressor_files.h"
#include "precis/error.h"
#include "precis/extend/compressor_method.h"
#include "precis/token.h"

namespace precis {

// A field whose values have names in files and flags.
struct Choice {
  std::vector<std::string> names;              // in the order of the values
  std::function<std::optional<size_t>()> get;  // index of the name; none: not set
  std::function<void(size_t index)> set;
};

// Of a bool (names of false and true) or of an enum that counts from 0.
template <typename T>
Choice choice(T& field, std::vector<std::string> names) {
  return {std::move(names),
          [&field] { return std::optional(static_cast<size_t>(field)); },
          [&field](size_t index) { field = static_cast<T>(index); }};
}

template <typename T>
Choice choice(std::optional<T>& field, std::vector<std::string> names) {
  return {std::move(names),
          [&field] { return field ? std::optional(static_cast<size_t>(*field)) : std::nullopt; },
          [&field](size_t index) { field = static_cast<T>(index); }};
}

// One setting of a method, bound to a field of a configuration that outlives it. compressor.json
// must have integers and numbers; what else is missing there keeps its value.
struct Setting {
  using Field = std::variant<bool*,
                             int64_t*,
                             double*,
                             std::optional<int64_t>*,
                             std::optional<double>*,
                             std::vector<TokenId>*,
                             Choice>;
  enum class Limit { kNone, kAtLeast0, kAtLeast1, kAbove0 };  // all but kNone refuse inf and NaN

  std::string name;  // in compressor.json
  Field field;
  Limit limit = Limit::kNone;                    // of integers and numbers
  std::string help = {};                         // for SettingFlag
  std::string flag = {};                         // its name there; empty: `name`
  std::optional<std::string> default_text = {};  // for SettingFlag; none: the field's value
};

// The settings of a configuration. What is read, saved, checked and offered as flags follows from
// it.
using SettingTable = std::vector<Setting>;

// The settings of these names, in this order; pick_flags() renames them to their flags.
SettingTable pick(const SettingTable& table, std::initializer_list<const char*> names);
SettingTable pick_flags(const SettingTable& table, std::initializer_list<const char*> names);

// Reads a compressor.json, where null counts as missing and other keys are ignored. Throws
// kBadWeights naming file and key.
void read_settings(const CompressorFiles& files, const SettingTable& table);
void read_settings(const nlohmann::json& file,
                   const std::string& origin,
                   const SettingTable& table);
// Reads what users give. Throws kInvalidArgument naming `origin`, also for other settings.
void read_settings(const CompressorSettings& given,
                   const SettingTable& table,
                   const std::string& origin);

// Throws `kind` naming `origin` for a value outside its limit.
void check_limits(const SettingTable& table, ErrorKind kind, const std::string& origin);

// The values that are set; arrays of ids are left out.
CompressorSettings values_of(const SettingTable& table);

std::vector<SettingFlag> flags_of(const SettingTable& table);

// Flags whose defaults are the values of `config`.
template <typename Config>
std::vector<SettingFlag> flags_of(SettingTable (*settings)(Config&), Config config = {}) {
  return flags_of(settings(config));
}

// A compressor.json for save_compressor(): method, base and the settings that are set.
nlohmann::json describe(const char* method, const Decoder& decoder, const SettingTable& table);

template <typename Config>
nlohmann::json describe(const char* method,
                        const Decoder& decoder,
                        SettingTable (*settings)(Config&),
                        Config config) {
  return describe(method, decoder, settings(config));
}

}  // namespace precis
