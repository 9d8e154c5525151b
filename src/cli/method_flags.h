// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "precis/error.h"
#include "precis/extend/compressor_method.h"

namespace precis::cli {

// Flags of commands, from what the registered methods say of themselves.

// The settings of a method that a command takes; null: the command has no use for the method.
using SettingsOf = const std::vector<SettingFlag>* (*)(const CompressorMethod& method);
const std::vector<SettingFlag>* creation_settings(const CompressorMethod& method);  // train, bench
const std::vector<SettingFlag>* sizing_settings(const CompressorMethod& method);    // info
const std::vector<SettingFlag>* import_settings(const CompressorMethod& method);    // import

// The methods of a command, by the names that flags have for them.
std::vector<std::string> method_names(SettingsOf settings_of);
std::string method_list(SettingsOf settings_of);  // "selfcp, icae or gisting"

// By that name or the one in compressor.json; null: the command has no such method.
const CompressorMethod* find_method(const std::string& name, SettingsOf settings_of);
// The same. Throws `kind` for an unknown one: "`what` NAME is unknown" with those that are known.
const CompressorMethod& known_method(const std::string& name,
                                     SettingsOf settings_of,
                                     ErrorKind kind,
                                     const char* what);

// Adds one flag for each name that settings of the command's methods have. What is given is put
// into `settings`, which has to live as long as the command.
std::vector<CLI::Option*> add_method_flags(CLI::App& command,
                                           SettingsOf settings_of,
                                           CompressorSettings& settings);

// "--max-segment" for max_segment.
std::string flag_of(const std::string& setting);

// The first given flag that the method does not have. REQUIRES: a method of the command.
std::optional<std::string> foreign_flag(const CompressorSettings& settings,
                                        const CompressorMethod& method,
                                        SettingsOf settings_of);

}  // namespace precis::cli
