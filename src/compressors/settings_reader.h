// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "precis/error.h"
#include "precis/extend/compressor_method.h"

namespace precis {

// Reads CompressorSettings by name; a field whose setting is missing keeps its value. All throw
// `kind`, naming `origin` and the setting, for values of another type or out of range. Borrows the
// settings.
class SettingsReader {
 public:
  SettingsReader(const CompressorSettings& settings, ErrorKind kind, std::string origin);

  bool has(const std::string& name) const { return settings_.contains(name); }

  void read(const std::string& name, bool& field);
  void read(const std::string& name, int64_t& field);
  void read(const std::string& name, double& field);
  void read(const std::string& name, std::string& field);
  template <typename T>
  void read(const std::string& name, std::optional<T>& field) {
    if (!has(name)) return;
    T value{};
    read(name, value);
    field = value;
  }

  // The same, and checks the field.
  void read_at_least(int64_t smallest, const std::string& name, int64_t& field);
  void read_ratio(const std::string& name, double& field);  // at least 1 and finite
  // Whether the text is `yes` rather than `no`; all others are refused.
  void read_choice(const std::string& name, const char* yes, const char* no, bool& field);

  // Throws for a setting that has not been read.
  void check_all_read() const;

 private:
  // Null: missing.
  const SettingValue* find(const std::string& name);
  [[noreturn]] void fail_type(const std::string& name, const char* expected) const;

  const CompressorSettings& settings_;
  ErrorKind kind_;
  std::string origin_;
  std::set<std::string> read_;
};

}  // namespace precis
