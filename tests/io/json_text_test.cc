// SPDX-License-Identifier: Apache-2.0
#include "io/json_text.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "file_fixture.h"
#include "io/json_file.h"

namespace precis {
namespace {

using nlohmann::json;

std::string nested(size_t depth, const std::string& begin, const std::string& end) {
  std::string text;
  for (size_t i = 0; i < depth; ++i) text += begin;
  text += "1";
  for (size_t i = 0; i < depth; ++i) text += end;
  return text;
}

std::string fault_of(const std::string& text, JsonNumbers numbers = JsonNumbers::kFinite) {
  JsonFault fault;
  EXPECT_TRUE(parse_json(text, numbers, &fault).is_discarded()) << text.substr(0, 100);
  return to_text(fault);
}

void expect_fault(const std::string& text, const std::string& start) {
  const std::string said = fault_of(text);
  EXPECT_EQ(said.substr(0, start.size()), start);
  EXPECT_LT(said.size(), 200u);
}

TEST(JsonText, EqualsTheParsersResult) {
  for (const std::string text :
       {"{}",
        "[]",
        " [1, -2, 18446744073709551615, 18446744073709551616, 3.5, -0.0, 1e3]\n",
        R"({"a": {"b": [true, false, null, "c\u00e9\n"]}, "": [[], {}]})",
        "\"text\"",
        "7",
        "null",
        "\xEF\xBB\xBF{\"a\": \"\xC3\xA9\"}"}) {
    const json expected = json::parse(text);
    EXPECT_EQ(parse_json(text), expected) << text;
    EXPECT_EQ(parse_json(text, JsonNumbers::kPython), expected) << text;
  }
}

TEST(JsonText, TheLastOfDuplicateKeysCounts) {
  EXPECT_EQ(parse_json(R"({"a": {"b": 1}, "c": 2, "a": [3]})"),
            json::parse(R"({"a": [3], "c": 2})"));
}

TEST(JsonText, NamesThePositionOfAnError) {
  expect_fault("", "line 1, column 1: ");
  expect_fault("{\"a\": 1, b}", "line 1, column 10: ");
  expect_fault("{\n  \"a\": [1,\n 2 3]}", "line 3, column 4: ");
  expect_fault("[1]\n\n]", "line 3, column 1: ");
  expect_fault(
      "[\"\xff\"]",
      "line 1, column 3: syntax error while parsing value - invalid string: ill-formed UTF-8 byte");
  expect_fault("[1e999]", "line 1, column 6: number overflow");
  expect_fault(std::string("{}\0{}", 5), "line 1, column 3: a NUL byte");
}

TEST(JsonText, ErrorsOfLongTextsAreShort) {
  expect_fault("{\"a\": \"" + std::string(100'000, 'x'), "line 1, column 100008: ");
  expect_fault("[" + std::string(100'000, '9') + "e999999]", "line 1, column 100008: ");
}

TEST(JsonText, AcceptsNestingUpToTheLimit) {
  for (const auto& [begin, end] : {std::pair{"[", "]"}, std::pair{"{\"a\":", "}"}}) {
    EXPECT_FALSE(parse_json(nested(kMaxJsonDepth, begin, end)).is_discarded());
    const std::string said = fault_of(nested(kMaxJsonDepth + 1, begin, end));
    EXPECT_NE(said.find("more than 200 objects and arrays in each other"), std::string::npos);
    EXPECT_EQ(fault_of(nested(1'000'000, begin, end)), said);
  }
  EXPECT_EQ(fault_of("\n{\"[[\": " + std::string(100'000, '[')),
            "line 2, column 207: more than 200 objects and arrays in each other");
}

TEST(JsonText, ALongFlatTextIsNotDeep) {
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) text += "[],{\"a\":[]},";
  EXPECT_EQ(parse_json(text + "1]").size(), 2001u);
}

TEST(JsonText, ReadsNumbersOfPythonOnRequest) {
  const std::string text =
      R"({"a": [1, Infinity, -2.5e-3, -Infinity, true], "NaN": "Infinity \" NaN", "b":NaN})";
  const json read = parse_json(text, JsonNumbers::kPython);
  ASSERT_TRUE(read.is_object());
  EXPECT_EQ(read["a"][0], 1);
  EXPECT_EQ(read["a"][1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(read["a"][2], -2.5e-3);
  EXPECT_EQ(read["a"][3], -std::numeric_limits<double>::infinity());
  EXPECT_EQ(read["a"][4], true);
  EXPECT_EQ(read["NaN"], "Infinity \" NaN");
  EXPECT_TRUE(std::isnan(read["b"].get<double>()));
  expect_fault(text, "line 1, column 11: ");
  for (const std::string wrong : {"[Infinity5]",
                                  "[5Infinity]",
                                  "[NaNNaN]",
                                  "[-NaN]",
                                  "[+Infinity]",
                                  "[Infinit]",
                                  "[nan]",
                                  "{NaN: 1}"}) {
    EXPECT_TRUE(parse_json(wrong, JsonNumbers::kPython).is_discarded()) << wrong;
  }
}

class JsonFileTest : public FileTest {};

TEST_F(JsonFileTest, NamesTheFileAndThePosition) {
  const auto path = file_of("{\n\"a\": tru}");
  expect_error(ErrorKind::kBadWeights, path.string() + ": not valid JSON: line 2, column 9: ", [&] {
    read_json(path);
  });
}

TEST_F(JsonFileTest, IsReadAsPythonReadsIt) {
  const auto path = file_of("{\"a\": Infinity}");
  EXPECT_TRUE(std::isinf(read_json(path)["a"].get<double>()));
  expect_error(
      ErrorKind::kBadWeights, "not valid JSON", [&] { read_json(path, JsonNumbers::kFinite); });
}

TEST_F(JsonFileTest, AboveTheSizeLimitIsRefused) {
  const auto path = file_of("{}");
  std::filesystem::resize_file(path, kMaxJsonBytes + 1);
  expect_error(ErrorKind::kBadWeights, "longer than 268435456 bytes", [&] { read_json(path); });
}

TEST_F(JsonFileTest, SurvivesDamage) {
  expect_survives_damage(R"({"a": [1, -2.5, Infinity, {"b": "\u00e9"}], "c": null, "d": NaN})",
                         [](const auto& path) { read_json(path); });
}

}  // namespace
}  // namespace precis
