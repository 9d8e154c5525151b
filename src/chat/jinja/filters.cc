// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/json.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/strings.h"

// Filters of single values: texts, numbers, JSON.
namespace precis::jinja {
namespace {

using CaseFunction = Text (*)(Budget&, const Text&);
template <CaseFunction change>
Value change_text(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("filter", arguments, {});
  return change(environment.budget, to_text(environment.budget, input));
}

Value trim(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("trim", arguments, {"chars"});
  const Text* characters = bound.is_given(0) ? &bound.text(0) : nullptr;
  Budget& budget = environment.budget;
  return strip(budget, to_text(budget, input), Side::kBoth, characters);
}

Value replace_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  Budget& budget = environment.budget;
  const int64_t limit = bound.is_given(2) ? bound.integer(2, -1) : -1;
  const Text old = to_text(budget, *bound[0]);
  const Text with = to_text(budget, *bound[1]);
  return replace(budget, to_text(budget, input), old.bytes(), with, limit)
      .with_markup(budget, false);
}

Value string_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("string", arguments, {});
  return to_text(environment.budget, input);
}

Value safe(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("safe", arguments, {});
  return to_text(environment.budget, input).with_markup(environment.budget, true);
}

Value escape(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("escape", arguments, {});
  const Text text = to_text(environment.budget, input);
  return text.is_markup() ? text : escape_html(environment.budget, text);
}

Value format(Environment& environment, const Value& input, const Arguments& arguments) {
  Budget& budget = environment.budget;
  PRECIS_CHECK(arguments.named.empty(), kUnsupported, "format: named arguments");
  const Value tuple = make_sequence(budget, SequenceKind::kTuple, arguments.positional);
  return format_percent(budget, to_text(budget, input), tuple);
}

Value default_filter(Environment&, const Value& input, const Arguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool is_missing = input.is<Undefined>() || (bound.truth(1, false) && !is_true(input));
  if (!is_missing) return input;
  return bound[0] ? *bound[0] : Text();
}

Value length(Environment&, const Value& input, const Arguments& arguments) {
  const Bound bound("length", arguments, {});
  const int64_t length = length_of(input);
  if (length < 0) refuse_operand("length", input);
  return length;
}

Value attr(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  if (input.is<DictPtr>() && !find_method(input, bound.text(0).bytes())) {
    return make_undefined(environment.budget,
                          "no attribute '" + shorten(bound.text(0).bytes()) + "'");
  }
  return attribute(environment.budget, input, bound.text(0).bytes());
}

Text spaces(Budget& budget, int64_t count) { return repeat(budget, Text(" "), count); }

// `width` is a number of spaces, or the text to indent by.
Text indentation(Budget& budget, const Value& width) {
  if (const Text* text = width.as<Text>()) return *text;
  int64_t count = 0;
  if (!as_integer(width, count)) refuse_operand("indent", width);
  return spaces(budget, count);
}

Value indent(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("indent", arguments, {"width", "first", "blank"});
  if (!input.is<Text>()) refuse_operand("indent", input);
  Budget& budget = environment.budget;
  const Text by = indentation(budget, bound[0] ? *bound[0] : Value(4));
  // Without this newline a last empty line would be lost.
  const Text text = concatenate(budget, *input.as<Text>(), Text("\n"));
  TextBuilder out(budget);
  bool is_first = true;
  int break_source = MarkedText::kTemplate;  // of the previous line break
  for (const Text& line : split_lines(budget, text, true)) {
    const size_t size = size_without_break(line.bytes());
    if (!is_first) out.add("\n", break_source);
    if (is_first ? bound.truth(1, false) : bound.truth(2, false) || size > 0) out.add(by);
    out.add(line, 0, size);
    break_source = line.source_at(size);
    is_first = false;
  }
  return out.take(input.as<Text>()->is_markup());
}

std::optional<Text> json_indent(Budget& budget, const Bound& bound) {
  if (!bound.is_given(1)) return std::nullopt;
  return indentation(budget, *bound[1]);
}

// `pair`: the separators between items, and between a key and its value.
void set_separators(JsonStyle& style, const Value& pair) {
  const auto* separators = pair.object<Sequence>();
  const bool fits = separators && separators->items.size() == 2 &&
                    separators->items[0].is<Text>() && separators->items[1].is<Text>();
  if (!fits) refuse_operand("tojson: separators", pair);
  style.item_separator = *separators->items[0].as<Text>();
  style.key_separator = *separators->items[1].as<Text>();
}

Value tojson(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.indent = json_indent(environment.budget, bound);
  if (style.indent) style.item_separator = Text(",");
  if (bound.is_given(2)) set_separators(style, *bound[2]);
  style.ascii_only = bound.truth(0, false);
  style.sorted_keys = bound.truth(3, false);
  return write_json(environment.budget, input, style);
}

std::string without_space(Budget& budget, const Text& text) {
  budget.scan(text.bytes().size());
  std::string digits(strip(budget, text, Side::kBoth).bytes());
  return digits.starts_with('+') && !digits.starts_with("+-") ? digits.substr(1) : digits;
}

template <typename Number>
std::optional<Number> parse(const std::string& digits) {
  Number number{};
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, number);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == end && !digits.empty();
  return whole ? std::optional(number) : std::nullopt;
}

std::optional<double> to_double(Budget& budget, const Value& value) {
  if (is_number(value)) return as_double(value);
  require_defined(value);
  const Text* text = value.as<Text>();
  return text ? parse<double>(without_space(budget, *text)) : std::nullopt;
}

Value int_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("int", arguments, {"default", "base"});
  PRECIS_CHECK(bound.integer(1, 10) == 10, kUnsupported, "int: a base other than 10");
  int64_t number = 0;
  if (as_integer(input, number)) return number;
  if (const Text* text = input.as<Text>()) {
    const auto parsed = parse<int64_t>(without_space(environment.budget, *text));
    if (parsed) return *parsed;
  }
  const std::optional<double> real = to_double(environment.budget, input);
  constexpr double kLimit = 9.2e18;
  if (real && std::abs(*real) < kLimit) return static_cast<int64_t>(*real);
  PRECIS_CHECK(!real || !std::isfinite(*real), kUnsupported, "an integer beyond 64 bits");
  return bound[0] ? *bound[0] : Value(0);
}

Value float_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("float", arguments, {"default"});
  const std::optional<double> real = to_double(environment.budget, input);
  if (real) return *real;
  return bound[0] ? *bound[0] : Value(0.0);
}

Value abs_filter(Environment&, const Value& input, const Arguments& arguments) {
  const Bound bound("abs", arguments, {});
  if (!is_number(input)) refuse_operand("abs", input);
  if (as_double(input) < 0) return negate(input);
  int64_t number = 0;
  return as_integer(input, number) ? Value(number) : Value(std::abs(as_double(input)));
}

// printf rounds as Python does: exactly, halves to even.
double round_to(double number, int precision) {
  char digits[512];
  const int size = std::snprintf(digits, sizeof(digits), "%.*f", precision, number);
  return parse<double>(std::string(digits, static_cast<size_t>(size))).value_or(number);
}

Value round_filter(Environment&, const Value& input, const Arguments& arguments) {
  const Bound bound("round", arguments, {"precision", "method"});
  const int64_t precision = bound.integer(0, 0);
  const std::string_view method = bound[1] ? bound.text(1).bytes() : "common";
  if (!is_number(input)) refuse_operand("round", input);
  PRECIS_CHECK(precision >= 0 && precision <= 20, kUnsupported, "round: precision ", precision);
  int64_t whole = 0;
  if (method == "common" && as_integer(input, whole)) return whole;
  if (method == "common") return round_to(as_double(input), static_cast<int>(precision));
  PRECIS_CHECK(method == "ceil" || method == "floor", kInvalidArgument, "round: unknown method");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = as_double(input) * scale;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

constexpr Transform kFilters[] = {
    {"trim", trim},
    {"tojson", tojson},
    {"length", length},
    {"count", length},
    {"upper", change_text<upper>},
    {"lower", change_text<lower>},
    {"title", change_text<title_words>},
    {"capitalize", change_text<capitalize>},
    {"default", default_filter},
    {"d", default_filter},
    {"string", string_filter},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"replace", replace_filter},
    {"indent", indent},
    {"format", format},
    {"attr", attr},
    {"int", int_filter},
    {"float", float_filter},
    {"abs", abs_filter},
    {"round", round_filter},
};

}  // namespace

std::span<const Transform> value_filters() { return kFilters; }

const Transform* find_filter(std::string_view name) {
  const Transform* found = find_row(value_filters(), name);
  return found ? found : find_row(sequence_filters(), name);
}

}  // namespace precis::jinja
