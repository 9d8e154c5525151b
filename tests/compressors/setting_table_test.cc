// SPDX-License-Identifier: Apache-2.0
// A method's settings: one table is read from files and flags, saved and offered as flags.
#include "compressors/setting_table.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/expect_error.h"

namespace precis {
namespace {

using nlohmann::json;

enum class Form { kFrozen, kTuned };

struct Config {
  int64_t slots = 8;
  double alpha = 32;
  bool connector = false;
  Form form = Form::kFrozen;
  std::optional<double> ratio = {};
  std::optional<Form> generation = {};
  std::vector<TokenId> ids = {};
};

SettingTable settings_of(Config& config) {
  using enum Setting::Limit;
  return {
      {"slots", &config.slots, kAtLeast1, "memory tokens", "gists"},
      {"alpha", &config.alpha, kAbove0, "of the LoRA"},
      {"connector", &config.connector},
      {"form", choice(config.form, {"frozen", "tuned"}), kNone, "which form", "", "by the model"},
      {"ratio", &config.ratio, kAtLeast1},
      {"generation", choice(config.generation, {"first", "second"})},
      {"ids", &config.ids}};
}

Config read_file(const json& file) {
  Config config;
  read_settings(file, "a file", settings_of(config));
  return config;
}

Config read_given(const CompressorSettings& given) {
  Config config;
  read_settings(given, settings_of(config), "a method");
  return config;
}

TEST(SettingTable, ReadsAFile) {
  const Config config = read_file({{"slots", 3},
                                   {"alpha", 2},
                                   {"connector", true},
                                   {"form", "tuned"},
                                   {"ratio", 2.5},
                                   {"generation", "second"},
                                   {"ids", {4, 5}},
                                   {"of_a_newer_version", 1}});
  EXPECT_EQ(config.slots, 3);
  EXPECT_EQ(config.alpha, 2.0);
  EXPECT_TRUE(config.connector);
  EXPECT_EQ(config.form, Form::kTuned);
  EXPECT_EQ(config.ratio, 2.5);
  EXPECT_EQ(config.generation, Form::kTuned);
  EXPECT_EQ(config.ids, (std::vector<TokenId>{4, 5}));
}

TEST(SettingTable, OnlyNumbersAreRequiredOfAFile) {
  const Config config = read_file({{"slots", 3}, {"alpha", 2}, {"ratio", nullptr}});
  EXPECT_FALSE(config.connector);
  EXPECT_FALSE(config.ratio || config.generation);
  const auto kind = ErrorKind::kBadWeights;
  expect_error(kind, "a file: alpha is missing", [] { read_file({{"slots", 3}}); });
  expect_error(kind, "slots is missing", [] { read_file({{"slots", nullptr}, {"alpha", 2}}); });
}

TEST(SettingTable, OtherTypesInAFileAreNamed) {
  const auto refuse = [](const char* key, const json& value, const std::string& message) {
    json file{{"slots", 3}, {"alpha", 2}};
    file[key] = value;
    expect_error(ErrorKind::kBadWeights, message, [&] { read_file(file); });
  };
  refuse("slots", 2.5, "a file: slots is 2.5, expected an integer");
  refuse("alpha", "2", "alpha is \"2\", expected a number");
  refuse("connector", 1, "connector is 1, expected true or false");
  refuse("form", "thawed", "form is \"thawed\", expected \"tuned\" or \"frozen\"");
  refuse("form", 7, "form is 7, expected \"tuned\" or \"frozen\"");
  refuse("ratio", "4", "ratio is \"4\", expected a number");
  refuse("ids", 5, "ids is 5, expected an array of ids");
  refuse("ids", {1, 2.5}, "ids is [1,2.5], expected token ids");
}

TEST(SettingTable, ReadsWhatIsGiven) {
  EXPECT_EQ(read_given({}).slots, 8);
  const Config config = read_given({{"alpha", 2}, {"form", "tuned"}, {"ratio", 4}});
  EXPECT_EQ(config.alpha, 2.0);
  EXPECT_EQ(config.form, Form::kTuned);
  EXPECT_EQ(config.ratio, 4.0);
  const auto refuse = [](const CompressorSettings& given, const std::string& message) {
    expect_error(ErrorKind::kInvalidArgument, message, [&] { read_given(given); });
  };
  refuse({{"slot", 4}}, "a method: there is no setting \"slot\"");
  refuse({{"slots", "four"}}, "slots is of another type, expected an integer");
  refuse({{"form", "thawed"}}, "form is \"thawed\", expected tuned or frozen");
}

TEST(SettingTable, ValuesOutsideTheirLimitsAreNamed) {
  const auto refuse = [](Config config, const std::string& message) {
    const auto kind = ErrorKind::kBadWeights;
    expect_error(kind, message, [&] { check_limits(settings_of(config), kind, "a file"); });
  };
  Config config;
  check_limits(settings_of(config), ErrorKind::kBadWeights, "a file");
  refuse({.slots = 0}, "a file: slots is 0, expected at least 1");
  refuse({.alpha = 0}, "alpha is 0, expected a number above 0");
  refuse({.alpha = INFINITY}, "alpha is inf");
  refuse({.ratio = 0.5}, "ratio is 0.5, expected at least 1");
  refuse({.ratio = NAN}, "ratio is nan");
}

TEST(SettingTable, GivesTheValuesThatAreSet) {
  Config config{.slots = 3, .form = Form::kTuned, .ids = {7}};
  EXPECT_EQ(
      values_of(settings_of(config)),
      (CompressorSettings{{"slots", 3}, {"alpha", 32.0}, {"connector", false}, {"form", "tuned"}}));
}

TEST(SettingTable, FlagsHaveNamesTypesAndDefaults) {
  Config config;
  const auto flags =
      flags_of(pick_flags(settings_of(config), {"form", "slots", "alpha", "ratio", "connector"}));
  ASSERT_EQ(flags.size(), 5u);
  using Type = SettingFlag::Type;
  EXPECT_EQ(flags[0].type, Type::kText);
  EXPECT_EQ(flags[0].default_text, "by the model");
  EXPECT_EQ(flags[0].choices, (std::vector<std::string>{"frozen", "tuned"}));
  EXPECT_EQ(flags[1].name, "gists");
  EXPECT_EQ(flags[1].help, "memory tokens");
  EXPECT_EQ(flags[1].default_text, "8");
  EXPECT_EQ(flags[2].type, Type::kNumber);
  EXPECT_EQ(flags[2].default_text, "32");
  EXPECT_EQ(flags[3].type, Type::kNumber);
  EXPECT_EQ(flags[3].default_text, "");
  EXPECT_EQ(flags[4].type, Type::kSwitch);
  EXPECT_EQ(flags[4].default_text, "");
}

}  // namespace
}  // namespace precis
