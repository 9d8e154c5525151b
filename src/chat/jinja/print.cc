// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/print.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>
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

// As Python's repr: with an exponent outside [1e-4, 1e16).
std::string insert_point(std::string digits, int exponent) {
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
  return sign + insert_point(std::move(digits), std::stoi(shortest.substr(mark + 1)));
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

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// An index or a precision, below 100.
size_t parse_small(std::string_view digits) {
  size_t number = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  PRECIS_CHECK(end == digits.data() + digits.size() && number < 100,
               kUnsupported,
               "format: the number '",
               digits.substr(0, 20),
               "'");
  return number;
}

class PercentFormat {
 public:
  PercentFormat(Budget& budget, const Text& pattern, const Value& arguments)
      : out_(budget), pattern_(pattern), arguments_(arguments) {
    const auto* sequence = arguments.object<Sequence>();
    if (sequence && sequence->kind == SequenceKind::kTuple) tuple_ = sequence;
  }

  Text run();

 private:
  const Value& take_argument();
  const Value& take_named();
  void convert(char kind, size_t precision, const Value& value);
  void add_integer(const Value& value);
  void add_real(const Value& value, size_t precision);

  char peek() const { return at_ < pattern_.bytes().size() ? pattern_.bytes()[at_] : '\0'; }
  size_t read_precision();

  TextBuilder out_;
  const Text& pattern_;
  const Value& arguments_;
  const Sequence* tuple_ = nullptr;
  size_t at_ = 0;
  size_t num_taken_ = 0;
};

Text PercentFormat::run() {
  const std::string_view bytes = pattern_.bytes();
  out_.budget().touch(bytes.size());
  while (at_ < bytes.size()) {
    const size_t mark = std::min(bytes.find('%', at_), bytes.size());
    out_.add(pattern_, at_, mark);
    at_ = mark + 1;
    if (mark == bytes.size()) break;
    if (peek() == '%') {
      out_.add(pattern_, at_, at_ + 1);
      ++at_;
      continue;
    }
    const Value* named = peek() == '(' ? &take_named() : nullptr;
    const size_t precision = read_precision();
    const char kind = peek();
    ++at_;
    convert(kind, precision, named ? *named : take_argument());
  }
  const size_t num_given = tuple_ ? tuple_->items.size() : 1;
  // For Python any object with items is a mapping, which may hold more than the format uses.
  const bool may_remain = !tuple_ && (arguments_.is<DictPtr>() || arguments_.is<SequencePtr>());
  PRECIS_CHECK(may_remain || num_taken_ == num_given, kInvalidArgument, "%: too many arguments");
  return out_.take(pattern_.is_markup());
}

const Value& PercentFormat::take_argument() {
  const size_t num_given = tuple_ ? tuple_->items.size() : 1;
  PRECIS_CHECK(num_taken_ < num_given, kInvalidArgument, "%: not enough arguments");
  const size_t index = num_taken_++;
  return tuple_ ? tuple_->items[index] : arguments_;
}

const Value& PercentFormat::take_named() {
  const size_t end = pattern_.bytes().find(')', at_);
  const auto* dict = arguments_.object<Dict>();
  PRECIS_CHECK(dict && end != std::string_view::npos, kInvalidArgument, "%: a mapping is expected");
  const Value* found = dict->find(out_.budget(), pattern_.bytes().substr(at_ + 1, end - at_ - 1));
  PRECIS_CHECK(found, kInvalidArgument, "%: the mapping lacks a key");
  at_ = end + 1;
  return *found;
}

size_t PercentFormat::read_precision() {
  constexpr size_t kDefault = 6;
  if (peek() != '.') return kDefault;
  const size_t begin = ++at_;
  while (is_digit(peek())) ++at_;
  return parse_small(pattern_.bytes().substr(begin, at_ - begin));
}

void PercentFormat::convert(char kind, size_t precision, const Value& value) {
  switch (kind) {
    case 's':
      return add_text(out_, value);
    case 'r':
      return add_repr(out_, value);
    case 'd':
    case 'i':
      return add_integer(value);
    case 'f':
      return add_real(value, precision);
    default:
      fail(ErrorKind::kUnsupported, "%: the conversion '%", kind, "' is not supported");
  }
}

void PercentFormat::add_integer(const Value& value) {
  int64_t number = 0;
  if (as_integer(value, number)) return out_.add(std::to_string(number));
  constexpr double kLimit = 9e18;
  const double* real = value.as<double>();
  if (!real || !(std::abs(*real) < kLimit)) refuse_operand("%d", value);
  out_.add(std::to_string(static_cast<int64_t>(*real)));
}

void PercentFormat::add_real(const Value& value, size_t precision) {
  if (!is_number(value)) refuse_operand("%f", value);
  char buffer[512];  // 309 digits, the point, and a precision below 100
  const int size =
      std::snprintf(buffer, sizeof(buffer), "%.*f", static_cast<int>(precision), as_double(value));
  out_.add(std::string_view(buffer, static_cast<size_t>(size)));
}

class BraceFormat {
 public:
  BraceFormat(Budget& budget, const Text& pattern, const Arguments& arguments)
      : out_(budget), pattern_(pattern), arguments_(arguments) {}

  Text run() {
    const std::string_view bytes = pattern_.bytes();
    out_.budget().touch(bytes.size());
    size_t at = 0;
    while (at < bytes.size()) {
      const size_t mark = std::min(bytes.find_first_of("{}", at), bytes.size());
      out_.add(pattern_, at, mark);
      if (mark == bytes.size()) break;
      const bool is_escaped = bytes.substr(mark + 1).starts_with(bytes[mark]);
      at = is_escaped ? mark + 2 : add_field(mark);
      if (is_escaped) out_.add(pattern_, mark, mark + 1);
    }
    return out_.take(pattern_.is_markup());
  }

 private:
  size_t add_field(size_t begin) {
    const std::string_view bytes = pattern_.bytes();
    const size_t end = bytes.find('}', begin);
    PRECIS_CHECK(bytes[begin] == '{' && end != std::string_view::npos,
                 kInvalidArgument,
                 "format: a single brace");
    add_text(out_, find(bytes.substr(begin + 1, end - begin - 1)));
    return end + 1;
  }

  const Value& find(std::string_view field) {
    PRECIS_CHECK(field.find_first_of(".[!:{") == std::string_view::npos,
                 kUnsupported,
                 "format: the field '",
                 field.substr(0, 40),
                 "' is not supported");
    if (field.empty()) return positional(next_++);
    if (std::all_of(field.begin(), field.end(), is_digit)) return positional(parse_small(field));
    constexpr size_t kPerName = 16;
    out_.budget().touch(arguments_.named.size() * (kPerName + field.size()));
    for (const auto& [name, value] : arguments_.named) {
      if (name.bytes() == field) return value;
    }
    fail(ErrorKind::kInvalidArgument, "format: no argument for '", field.substr(0, 40), "'");
  }

  const Value& positional(size_t index) const {
    PRECIS_CHECK(index < arguments_.positional.size(),
                 kInvalidArgument,
                 "format: no argument number ",
                 index);
    return arguments_.positional[index];
  }

  TextBuilder out_;
  const Text& pattern_;
  const Arguments& arguments_;
  size_t next_ = 0;
};

}  // namespace

Value format_percent(Budget& budget, const Text& pattern, const Value& arguments) {
  return PercentFormat(budget, pattern, arguments).run();
}

Value format_braces(Budget& budget, const Text& pattern, const Arguments& arguments) {
  return BraceFormat(budget, pattern, arguments).run();
}

}  // namespace precis::jinja
