// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/print.h"

#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace precis::jinja {
namespace {

std::string hex(int32_t number, size_t num_digits) {
  char digits[8];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), number, 16).ptr;
  const std::string text(digits, end);
  return std::string(num_digits - text.size(), '0') + text;
}

std::string escape_code_point(int32_t point) {
  if (point < 0x100) return "\\x" + hex(point, 2);
  return point < 0x10000 ? "\\u" + hex(point, 4) : "\\U" + hex(point, 8);
}

void add_character(
    TextBuilder& out, int32_t point, std::string_view bytes, int source, char quote) {
  constexpr std::string_view kEscaped = "\n\r\t\\";
  constexpr std::string_view kLetters = "nrt\\";
  const size_t escape = kEscaped.find(bytes.front());
  if (bytes.front() == quote || escape != std::string_view::npos) {
    const char letter = bytes.front() == quote ? quote : kLetters[escape];
    out.add(std::string{'\\', letter}, source);
  } else if (point >= 0 && !is_printable(point)) {
    out.add(escape_code_point(point), source);
  } else {
    out.add(bytes, source);
  }
}

void add_text_repr(TextBuilder& out, const Text& text) {
  const bool has_single = text.bytes().find('\'') != std::string_view::npos;
  const bool has_double = text.bytes().find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  const std::string_view mark(&quote, 1);
  if (text.is_markup()) out.add("Markup(");
  out.add(mark);
  for_each_character(out.budget(), text, [&](int32_t point, std::string_view bytes, int source) {
    add_character(out, point, bytes, source, quote);
  });
  out.add(mark);
  if (text.is_markup()) out.add(")");
}

void add_items(TextBuilder& out, const Sequence& sequence) {
  for (size_t i = 0; i < sequence.items.size(); ++i) {
    if (i > 0) out.add(", ");
    add_repr(out, sequence.items[i]);
  }
}

void add_sequence(TextBuilder& out, const Sequence& sequence, std::string_view type) {
  switch (sequence.kind) {
    case SequenceKind::kList:
      out.add("[");
      add_items(out, sequence);
      return out.add("]");
    case SequenceKind::kTuple:
      out.add("(");
      add_items(out, sequence);
      return out.add(sequence.items.size() == 1 ? ",)" : ")");
    case SequenceKind::kKeys:
    case SequenceKind::kValues:
    case SequenceKind::kItems:
      out.add(concat(type, "(["));
      add_items(out, sequence);
      return out.add("])");
    default:
      fail(ErrorKind::kUnsupported, "printing a ", type, " is not supported");
  }
}

void add_dict(TextBuilder& out, const Dict& dict) {
  out.add("{");
  bool is_first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!std::exchange(is_first, false)) out.add(", ");
    add_repr(out, key);
    out.add(": ");
    add_repr(out, value);
  }
  out.add("}");
}

// Python's repr switches to an exponent outside [1e-4, 1e16).
std::string place_point(std::string digits, int exponent) {
  const int num_digits = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const int size = std::abs(exponent);
    if (num_digits > 1) digits.insert(1, ".");
    return digits + (exponent < 0 ? "e-" : "e+") + (size < 10 ? "0" : "") + std::to_string(size);
  }
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (num_digits <= exponent + 1) {
    return digits + std::string(static_cast<size_t>(exponent + 1 - num_digits), '0') + ".0";
  }
  return digits.insert(static_cast<size_t>(exponent + 1), ".");
}

}  // namespace

std::string format_double(double number) {
  if (std::isnan(number)) return "nan";
  const std::string sign = std::signbit(number) ? "-" : "";
  if (std::isinf(number)) return sign + "inf";
  char buffer[64];
  const auto end = std::to_chars(
      std::begin(buffer), std::end(buffer), std::abs(number), std::chars_format::scientific);
  const std::string shortest(buffer, end.ptr);
  const size_t mark = shortest.find('e');
  std::string digits = shortest.substr(0, mark);
  if (digits.size() > 1) digits.erase(1, 1);
  return sign + place_point(std::move(digits), std::stoi(shortest.substr(mark + 1)));
}

void add_repr(TextBuilder& out, const Value& value) {
  const Nesting nesting(out.budget());
  out.budget().step();
  if (const Text* text = value.as<Text>()) return add_text_repr(out, *text);
  if (const auto* sequence = value.object<Sequence>()) {
    return add_sequence(out, *sequence, type_name(value));
  }
  if (const auto* dict = value.object<Dict>()) return add_dict(out, *dict);
  if (value.is<Undefined>()) return out.add("Undefined");
  add_text(out, value);
}

void add_text(TextBuilder& out, const Value& value) {
  if (value.is<Undefined>()) return;
  if (const Text* text = value.as<Text>()) return out.add(*text);
  if (value.is<None>()) return out.add("None");
  if (const bool* truth = value.as<bool>()) return out.add(*truth ? "True" : "False");
  if (const int64_t* number = value.as<int64_t>()) return out.add(std::to_string(*number));
  if (const double* number = value.as<double>()) return out.add(format_double(*number));
  if (value.is<SequencePtr>() || value.is<DictPtr>()) return add_repr(out, value);
  fail(ErrorKind::kUnsupported, "printing a ", type_name(value), " is not supported");
}

Text to_text(Budget& budget, const Value& value) {
  if (const Text* text = value.as<Text>()) return *text;
  TextBuilder out(budget);
  add_text(out, value);
  return out.take();
}

}  // namespace precis::jinja
