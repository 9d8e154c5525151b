// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <utility>

#include "base/check.h"
#include "chat/jinja/format.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/strings.h"

namespace precis::jinja {
namespace {

constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};

[[noreturn]] void refuse_operands(Arithmetic operation, const Value& left, const Value& right) {
  require_defined(left);
  require_defined(right);
  fail(ErrorKind::kInvalidArgument,
       "'",
       type_name(left),
       "' ",
       kSymbols[static_cast<size_t>(operation)],
       " '",
       type_name(right),
       "' is not possible");
}

int64_t checked(bool overflows, int64_t result) {
  PRECIS_CHECK(!overflows, kUnsupported, "an integer beyond 64 bits");
  return result;
}

void check_divisor(bool is_zero) { PRECIS_CHECK(!is_zero, kInvalidArgument, "division by zero"); }

int64_t multiply(int64_t left, int64_t right) {
  int64_t result = 0;
  const bool overflows = __builtin_mul_overflow(left, right, &result);
  return checked(overflows, result);
}

// Python rounds down, C++ towards zero.
int64_t floor_divide(int64_t left, int64_t right) {
  check_divisor(right == 0);
  if (right == -1) return multiply(left, -1);
  const int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t left, int64_t right) {
  check_divisor(right == 0);
  if (right == -1) return 0;
  const int64_t rest = left % right;
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 == 1) result = multiply(result, base);
    if (exponent > 1) base = multiply(base, base);
  }
  return result;
}

Value calculate_integers(Arithmetic operation, int64_t left, int64_t right) {
  int64_t result = 0;
  switch (operation) {
    case Arithmetic::kAdd: {
      const bool overflows = __builtin_add_overflow(left, right, &result);
      return checked(overflows, result);
    }
    case Arithmetic::kSubtract: {
      const bool overflows = __builtin_sub_overflow(left, right, &result);
      return checked(overflows, result);
    }
    case Arithmetic::kMultiply:
      return multiply(left, right);
    case Arithmetic::kDivide:
      check_divisor(right == 0);
      return static_cast<double>(left) / static_cast<double>(right);
    case Arithmetic::kFloorDivide:
      return floor_divide(left, right);
    case Arithmetic::kModulo:
      return modulo(left, right);
    case Arithmetic::kPower:
      if (right >= 0) return power(left, right);
      check_divisor(left == 0);
      return std::pow(static_cast<double>(left), static_cast<double>(right));
  }
  return {};
}

double modulo(double left, double right) {
  const double rest = std::fmod(left, right);
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

Value calculate_reals(Arithmetic operation, double left, double right) {
  switch (operation) {
    case Arithmetic::kAdd:
      return left + right;
    case Arithmetic::kSubtract:
      return left - right;
    case Arithmetic::kMultiply:
      return left * right;
    case Arithmetic::kDivide:
      check_divisor(right == 0);
      return left / right;
    case Arithmetic::kFloorDivide:
      check_divisor(right == 0);
      return std::floor(left / right);
    case Arithmetic::kModulo:
      check_divisor(right == 0);
      return modulo(left, right);
    case Arithmetic::kPower:
      check_divisor(left == 0 && right < 0);
      return std::pow(left, right);
  }
  return {};
}

bool is_list_or_tuple(const Value& value) {
  const auto* sequence = value.object<Sequence>();
  return sequence &&
         (sequence->kind == SequenceKind::kList || sequence->kind == SequenceKind::kTuple);
}

Value add_sequences(Budget& budget, const Sequence& left, const Sequence& right) {
  budget.touch((left.items.size() + right.items.size()) * sizeof(Value));
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return make_sequence(budget, left.kind, std::move(items));
}

Value repeat_sequence(Budget& budget, const Sequence& sequence, int64_t times) {
  std::vector<Value> items;
  const size_t size = sequence.items.size();
  if (size == 0 || times <= 0) return make_sequence(budget, sequence.kind, {});
  const auto most = static_cast<int64_t>(Budget::kMaxBytes / sizeof(Value) / size);
  PRECIS_CHECK(times <= most, kInvalidArgument, "a list of ", size, " items times ", times);
  budget.touch(static_cast<size_t>(times) * size * sizeof(Value));
  items.reserve(static_cast<size_t>(times) * size);
  for (int64_t i = 0; i < times; ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return make_sequence(budget, sequence.kind, std::move(items));
}

// Texts and lists times a number.
Value repeat(Budget& budget, const Value& repeated, int64_t times) {
  if (const Text* text = repeated.as<Text>()) return repeat(budget, *text, times);
  return repeat_sequence(budget, *repeated.object<Sequence>(), times);
}

Value calculate_others(Budget& budget,
                       Arithmetic operation,
                       const Value& left,
                       const Value& right) {
  int64_t times = 0;
  const Text* text = left.as<Text>();
  const auto repeats = [](const Value& value) {
    return value.is<Text>() || is_list_or_tuple(value);
  };
  if (operation == Arithmetic::kMultiply) {
    if (repeats(left) && as_integer(right, times)) return repeat(budget, left, times);
    if (repeats(right) && as_integer(left, times)) return repeat(budget, right, times);
  }
  if (operation == Arithmetic::kModulo && text) return format_percent(budget, *text, right);
  if (operation != Arithmetic::kAdd) refuse_operands(operation, left, right);
  if (text && right.is<Text>()) return concatenate(budget, *text, *right.as<Text>());
  const bool are_sequences = is_list_or_tuple(left) && is_list_or_tuple(right);
  if (!are_sequences || type_name(left) != type_name(right)) {
    refuse_operands(operation, left, right);
  }
  return add_sequences(budget, *left.object<Sequence>(), *right.object<Sequence>());
}

}  // namespace

std::span<const std::string_view> arithmetic_symbols() { return kSymbols; }

Value calculate(Budget& budget, Arithmetic operation, const Value& left, const Value& right) {
  if (!is_number(left) || !is_number(right)) {
    return calculate_others(budget, operation, left, right);
  }
  int64_t a = 0;
  int64_t b = 0;
  if (as_integer(left, a) && as_integer(right, b)) return calculate_integers(operation, a, b);
  return calculate_reals(operation, as_double(left), as_double(right));
}

Value negate(const Value& value) {
  int64_t number = 0;
  if (as_integer(value, number)) return multiply(number, -1);
  if (const double* real = value.as<double>()) return -*real;
  refuse_operand("-", value);
}

}  // namespace precis::jinja
