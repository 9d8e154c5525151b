// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/jinja/callables.h"
#include "precis/error.h"

// Every filter, method and test in the interpreter's tables charges the budget for a long value
// that it reads.
namespace precis {
namespace {

using jinja::Value;
using Exceptions = std::set<std::string_view>;

constexpr size_t kSize = 2000;  // bytes, or items

Value many(jinja::SequenceKind kind, const Value& item) {
  jinja::Budget budget;
  return make_sequence(budget, kind, std::vector<Value>(kSize, item));
}

Value many_keys() {
  jinja::Budget budget;
  jinja::Dict dict;
  for (size_t i = 0; i < kSize; ++i) dict.set(budget, i, i);
  return make_dict(budget, std::move(dict));
}

const std::vector<Value>& long_texts() {
  static const std::vector<Value> texts = {jinja::Text(std::string(kSize, ' ')),
                                           jinja::Text(std::string(kSize, 'a')),
                                           jinja::Text(std::string(kSize, '1'))};
  return texts;
}

const std::vector<Value>& long_lists() {
  static const std::vector<Value> lists = {many(jinja::SequenceKind::kList, 1),
                                           many(jinja::SequenceKind::kTuple, jinja::Text("ab"))};
  return lists;
}

const std::vector<Value>& long_dicts() {
  static const std::vector<Value> dicts = {many_keys()};
  return dicts;
}

std::vector<Value> long_values() {
  std::vector<Value> values = long_texts();
  values.insert(values.end(), long_lists().begin(), long_lists().end());
  values.insert(values.end(), long_dicts().begin(), long_dicts().end());
  return values;
}

std::vector<jinja::Arguments> argument_lists() {
  const Value text = jinja::Text("x");
  const Value other = jinja::Text("y");
  const Value number = 1;
  const Value filter = jinja::Text("string");
  std::vector<jinja::Arguments> lists = {
      {}, {{text}, {}}, {{number}, {}}, {{filter}, {}}, {{text, other}, {}}, {{text, number}, {}}};
  for (const Value& value : long_values()) lists.push_back({{value}, {}});
  return lists;
}

// The least that a call charges, in bytes, among those that succeed. A step counts as some bytes.
template <typename Call>
size_t least_charge(const std::vector<Value>& inputs, const Call& call) {
  constexpr size_t kStep = 16;
  size_t least = SIZE_MAX;
  for (const Value& input : inputs) {
    for (const jinja::Arguments& arguments : argument_lists()) {
      jinja::Environment environment{{}, {}, {}};
      try {
        call(environment, input, arguments);
      } catch (const Error&) {
        continue;
      }
      least = std::min(least, environment.budget.bytes() + kStep * environment.budget.steps());
    }
  }
  return least;
}

// `brief`: callables that read only a little of some long value, or refuse all of them.
template <typename Row, typename Apply>
void expect_charges(std::span<const Row> rows,
                    Apply Row::*apply,
                    const std::vector<Value>& inputs,
                    const Exceptions& brief) {
  for (const Row& row : rows) {
    const size_t least = least_charge(inputs, [&](auto& environment, auto& input, auto& arguments) {
      (row.*apply)(environment, input, arguments);
    });
    const bool is_charged = least >= kSize && least != SIZE_MAX;
    EXPECT_NE(is_charged, brief.contains(row.name)) << row.name << " charges " << least;
  }
}

TEST(CallableCharges, Filters) {
  // int and float accept a list or a dict without reading it; abs and round accept numbers only.
  expect_charges(jinja::value_filters(),
                 &jinja::Transform::apply,
                 long_values(),
                 {"trim",
                  "length",
                  "count",
                  "default",
                  "d",
                  "string",
                  "attr",
                  "int",
                  "float",
                  "abs",
                  "round"});
  expect_charges(
      jinja::sequence_filters(), &jinja::Transform::apply, long_values(), {"first", "last"});
}

TEST(CallableCharges, NumbersOfLongTexts) {
  for (const char* name : {"int", "float"}) {
    const auto apply = [name](auto& environment, auto& input, auto& arguments) {
      jinja::find_filter(name)->apply(environment, input, arguments);
    };
    EXPECT_GE(least_charge(long_texts(), apply), kSize) << name;
  }
}

TEST(CallableCharges, Methods) {
  expect_charges(jinja::text_methods(),
                 &jinja::Transform::apply,
                 long_texts(),
                 {"strip",
                  "lstrip",
                  "rstrip",
                  "join",
                  "startswith",
                  "endswith",
                  "removeprefix",
                  "removesuffix"});
  expect_charges(jinja::dict_methods(), &jinja::Transform::apply, long_dicts(), {"get", "copy"});
  expect_charges(jinja::list_methods(), &jinja::Transform::apply, long_lists(), {"index", "copy"});
}

// Comparisons of different types, or of values that differ at the beginning, are brief; most tests
// read the type only.
TEST(CallableCharges, Tests) {
  Exceptions brief;
  for (const jinja::Test& test : jinja::tests()) brief.insert(test.name);
  for (const std::string_view name : {"lower", "upper", "divisibleby", "in"}) brief.erase(name);
  expect_charges(jinja::tests(), &jinja::Test::holds, long_values(), brief);
  const Value copy = jinja::Text(std::string(kSize, 'a'));
  for (const char* name : {"eq", "ne", "lt", "le", "gt", "ge", "sameas"}) {
    const auto holds = [&](auto& environment, auto&, auto&) {
      jinja::find_test(name)->holds(environment, long_texts()[1], {{copy}, {}});
    };
    EXPECT_GE(least_charge({copy}, holds), kSize) << name;
  }
}

}  // namespace
}  // namespace precis
