// SPDX-License-Identifier: Apache-2.0
#include "cli/method_flags.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/nearest.h"
#include "cli/choices.h"
#include "precis/extend/registry.h"

namespace precis::cli {
namespace {

const std::string& flag_name(const CompressorMethod& method) {
  return method.flag_name.empty() ? method.name : method.flag_name;
}

// One flag, and what it means to each of the methods that have it.
struct SharedFlag {
  SettingFlag flag;                                                        // of the first method
  std::vector<std::pair<std::string, std::vector<std::string>>> meanings;  // text, methods
};

std::string meaning_of(const SettingFlag& flag) {
  return flag.default_text.empty() ? flag.help
                                   : concat(flag.help, " (default: ", flag.default_text, ")");
}

void add_meaning(SharedFlag& shared, const std::string& text, const std::string& method) {
  const auto same = std::ranges::find(
      shared.meanings, text, &std::pair<std::string, std::vector<std::string>>::first);
  if (same == shared.meanings.end())
    shared.meanings.push_back({text, {method}});
  else
    same->second.push_back(method);
}

std::vector<SharedFlag> shared_flags(SettingsOf settings_of) {
  std::vector<SharedFlag> all;
  for (const CompressorMethod* method : compressor_methods()) {
    const std::vector<SettingFlag>* own = settings_of(*method);
    if (own == nullptr) continue;
    for (const SettingFlag& flag : *own) {
      auto known = std::ranges::find_if(
          all, [&](const SharedFlag& other) { return other.flag.name == flag.name; });
      if (known == all.end()) known = all.insert(all.end(), SharedFlag{flag, {}});
      add_meaning(*known, meaning_of(flag), flag_name(*method));
    }
  }
  return all;
}

std::string joined(const std::vector<std::string>& names, const char* last) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 < names.size() ? ", " : last, names[i]);
  return text;
}

// "selfcp, icae: one thing; gisting: another"; without names where all methods agree.
std::string help_of(const SharedFlag& shared, size_t num_methods) {
  std::string text;
  for (const auto& [meaning, methods] : shared.meanings) {
    text += text.empty() ? "" : "; ";
    if (methods.size() < num_methods) text += joined(methods, ", ") + ": ";
    text += meaning;
  }
  return text;
}

CLI::Option* add_flag(CLI::App& command,
                      const SettingFlag& flag,
                      const std::string& help,
                      CompressorSettings& settings) {
  using Type = SettingFlag::Type;
  const std::string option = flag_of(flag.name);
  const auto put = [&settings, name = flag.name](const auto& value) { settings[name] = value; };
  switch (flag.type) {
    case Type::kSwitch:
      return command.add_flag_callback(
          option, [put] { put(true); }, help);
    case Type::kInteger:
      return command.add_option_function<int64_t>(option, put, help);
    case Type::kNumber:
      return command.add_option_function<double>(option, put, help);
    case Type::kText:
      break;
  }
  CLI::Option* text = command.add_option_function<std::string>(option, put, help);
  if (!flag.choices.empty()) text->transform(CLI::detail::to_lower)->check(one_of(flag.choices));
  return text;
}

}  // namespace

const std::vector<SettingFlag>* creation_settings(const CompressorMethod& method) {
  return method.creation ? &method.creation->flags : nullptr;
}

const std::vector<SettingFlag>* sizing_settings(const CompressorMethod& method) {
  return method.sizing ? &method.sizing->flags : nullptr;
}

const std::vector<SettingFlag>* import_settings(const CompressorMethod& method) {
  return method.importing ? &method.importing->flags : nullptr;
}

std::vector<std::string> method_names(SettingsOf settings_of) {
  std::vector<std::string> names;
  for (const CompressorMethod* method : compressor_methods())
    if (settings_of(*method) != nullptr) names.push_back(flag_name(*method));
  return names;
}

std::string method_list(SettingsOf settings_of) {
  return joined(method_names(settings_of), " or ");
}

const CompressorMethod* find_method(const std::string& name, SettingsOf settings_of) {
  for (const CompressorMethod* method : compressor_methods()) {
    const bool named = name == method->name || name == flag_name(*method);
    if (named && settings_of(*method) != nullptr) return method;
  }
  return nullptr;
}

const CompressorMethod& known_method(const std::string& name,
                                     SettingsOf settings_of,
                                     ErrorKind kind,
                                     const char* what) {
  if (const CompressorMethod* method = find_method(name, settings_of)) return *method;
  const std::string known = concat(" is unknown (known: ", method_list(settings_of), ")");
  fail(kind, what, " \"", name, "\"", known, did_you_mean(name, method_names(settings_of)));
}

std::vector<CLI::Option*> add_method_flags(CLI::App& command,
                                           SettingsOf settings_of,
                                           CompressorSettings& settings) {
  const size_t num_methods = method_names(settings_of).size();
  std::vector<CLI::Option*> options;
  for (const SharedFlag& shared : shared_flags(settings_of))
    options.push_back(add_flag(command, shared.flag, help_of(shared, num_methods), settings));
  return options;
}

std::string flag_of(const std::string& setting) {
  std::string flag = "--" + setting;
  std::ranges::replace(flag, '_', '-');
  return flag;
}

std::optional<std::string> foreign_flag(const CompressorSettings& settings,
                                        const CompressorMethod& method,
                                        SettingsOf settings_of) {
  const std::vector<SettingFlag>& own = *settings_of(method);
  for (const auto& [name, value] : settings) {
    if (std::ranges::count(own, name, &SettingFlag::name) == 0) return flag_of(name);
  }
  return std::nullopt;
}

}  // namespace precis::cli
