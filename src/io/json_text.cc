// SPDX-License-Identifier: Apache-2.0
#include "io/json_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/check.h"

namespace precis {
namespace {

using Json = nlohmann::json;

constexpr size_t kNowhere = std::string_view::npos;
constexpr std::string_view kNumberStarts = "-0123456789";
constexpr std::string_view kNumberCharacters = "0123456789+-.eE";

// A number without a spelling in the JSON standard, and its index among all numbers of the text.
struct Constant {
  size_t number;
  double value;
};

struct Spelling {
  std::string_view name;
  double value;
};

constexpr std::array<Spelling, 3> kSpellings{{
    {"Infinity", std::numeric_limits<double>::infinity()},
    {"-Infinity", -std::numeric_limits<double>::infinity()},
    {"NaN", std::numeric_limits<double>::quiet_NaN()},
}};

// The position after the string that begins at `quote`.
size_t skip_string(std::string_view text, size_t quote) {
  size_t i = quote + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

const Spelling* spelling_at(std::string_view text, size_t place) {
  const auto begins = [&](const Spelling& one) { return text.substr(place).starts_with(one.name); };
  const auto found = std::ranges::find_if(kSpellings, begins);
  return found == kSpellings.end() ? nullptr : &*found;
}

// Replaces each constant by a zero between spaces: so that it cannot join another number, and the
// text after it keeps its position.
std::vector<Constant> take_constants(std::string& text) {
  std::vector<Constant> constants;
  size_t numbers = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      i = skip_string(text, i);
    } else if (const Spelling* found = spelling_at(text, i)) {
      constants.push_back({numbers++, found->value});
      std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(i), found->name.size(), ' ');
      text[i + 1] = '0';
      i += found->name.size();
    } else if (kNumberStarts.find(text[i]) != kNowhere) {
      ++numbers;
      i = std::min(text.find_first_not_of(kNumberCharacters, i), text.size());
    } else {
      ++i;
    }
  }
  return constants;
}

// The position of the first object or array that is nested too deeply.
size_t find_depth(std::string_view text) {
  size_t depth = 0;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      i = skip_string(text, i);
      continue;
    }
    if ((c == '[' || c == '{') && ++depth > kMaxJsonDepth) return i;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    ++i;
  }
  return text.size();
}

JsonFault fault_at(std::string_view text, size_t place, std::string reason) {
  const std::string_view before = text.substr(0, std::min(place, text.size()));
  const size_t line_start = before.rfind('\n') + 1;  // 0 on the first line
  return {1 + static_cast<size_t>(std::ranges::count(before, '\n')),
          1 + before.size() - line_start,
          std::move(reason)};
}

// The parser's message without its prefix and without the text that it quotes, which may have any
// length and any bytes.
std::string reason_of(std::string_view what) {
  const size_t column = what.find("column "), colon = what.find(": ", column);
  const size_t prefix = column != kNowhere ? colon : what.find("] ");
  if (prefix != kNowhere) what.remove_prefix(prefix + 2);
  return std::string(
      what.substr(0, std::min(what.find("; last read: '"), what.find(" parsing '"))));
}

// Builds the value of a text from the parser's events.
class TreeBuilder final : public Json::json_sax_t {
 public:
  TreeBuilder(std::string_view text, std::vector<Constant> constants)
      : text_(text), constants_(std::move(constants)) {}

  Json take() { return std::move(root_); }
  JsonFault& fault() { return fault_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool truth) override { return add(truth); }
  bool number_integer(number_integer_t number) override { return add_number(number); }
  bool number_unsigned(number_unsigned_t number) override { return add_number(number); }
  bool number_float(number_float_t number, const string_t&) override { return add_number(number); }
  bool string(string_t& text) override { return add(std::move(text)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool key(string_t& name) override {
    member_ = &open_.back()->get_ref<Json::object_t&>()[std::move(name)];
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t position,
                   const std::string&,
                   const nlohmann::detail::exception& error) override {
    const size_t last_read = std::max<size_t>(position, 1) - 1;
    fault_ = fault_at(text_, last_read, reason_of(error.what()));
    return false;
  }

 private:
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    if (!open_.back()->is_array()) return *member_ = std::move(value);
    auto& items = open_.back()->get_ref<Json::array_t&>();
    items.push_back(std::move(value));
    return items.back();
  }

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  template <typename Number>
  bool add_number(Number number) {
    const bool stands_for_other =
        next_constant_ < constants_.size() && constants_[next_constant_].number == numbers_;
    ++numbers_;
    return stands_for_other ? add(constants_[next_constant_++].value) : add(number);
  }

  bool open(Json::value_t type) {
    if (open_.size() == kMaxJsonDepth) {
      fault_ = fault_at(text_,
                        find_depth(text_),
                        concat("more than ", kMaxJsonDepth, " objects and arrays in each other"));
      return false;
    }
    open_.push_back(&place(Json(type)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view text_;
  std::vector<Constant> constants_;
  size_t next_constant_ = 0;
  size_t numbers_ = 0;  // read so far
  Json root_;
  std::vector<Json*> open_;  // objects and arrays that enclose the next value
  Json* member_ = nullptr;   // the member that the last key names
  JsonFault fault_;
};

Json refused(JsonFault* fault, JsonFault why) {
  if (fault != nullptr) *fault = std::move(why);
  return Json(Json::value_t::discarded);
}

Json build(std::string_view text, std::vector<Constant> constants, JsonFault* fault) {
  TreeBuilder builder(text, std::move(constants));
  if (!Json::sax_parse(text, &builder)) return refused(fault, std::move(builder.fault()));
  // The parser takes a NUL as the end of the text.
  const size_t nul = text.find('\0');
  if (nul != kNowhere) return refused(fault, fault_at(text, nul, "a NUL byte"));
  return builder.take();
}

bool has_constants(std::string_view text) {
  return text.find("Infinity") != kNowhere || text.find("NaN") != kNowhere;
}

}  // namespace

Json parse_json(std::string_view text, JsonNumbers numbers, JsonFault* fault) {
  if (text.size() > kMaxJsonBytes)
    return refused(fault, {1, 1, concat("longer than ", kMaxJsonBytes, " bytes")});
  if (numbers == JsonNumbers::kFinite || !has_constants(text)) return build(text, {}, fault);
  std::string standard(text);
  std::vector<Constant> constants = take_constants(standard);
  return build(standard, std::move(constants), fault);
}

std::string to_text(const JsonFault& fault) {
  return concat("line ", fault.line, ", column ", fault.column, ": ", fault.reason);
}

}  // namespace precis
