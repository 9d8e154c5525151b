// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/operators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "chat/jinja/print.h"
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

// Python rounds down, C++ rounds towards zero.
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

// A text or a list times a number.
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

namespace {

// Python's string methods that are not implemented are refused by name.
void check_supported(const Value& object, std::string_view name) {
  constexpr std::string_view kNames[] = {"casefold",
                                         "center",
                                         "encode",
                                         "expandtabs",
                                         "format_map",
                                         "isascii",
                                         "isnumeric",
                                         "istitle",
                                         "ljust",
                                         "rjust",
                                         "swapcase",
                                         "translate",
                                         "zfill"};
  const bool is_known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
  PRECIS_CHECK(!object.is<Text>() || !is_known, kUnsupported, "str.", name, " is not supported");
}

Value missing(Budget& budget, const Value& object, std::string_view name) {
  return make_undefined(
      budget, "'" + std::string(type_name(object)) + "' has no attribute '" + shorten(name) + "'");
}

Value neighbour(Budget& budget, const Loop& loop, size_t index) {
  if (index < loop.items->items.size()) return loop.items->items[index];
  return make_undefined(budget, "the loop has no such item");
}

Value loop_attribute(Budget& budget, const Loop& loop, std::string_view name) {
  const size_t length = loop.items->items.size();
  if (name == "index") return loop.index + 1;
  if (name == "index0") return loop.index;
  if (name == "first") return loop.index == 0;
  if (name == "last") return loop.index + 1 >= length;
  if (name == "length") return length;
  if (name == "revindex") return length - loop.index;
  if (name == "revindex0") return length - loop.index - 1;
  if (name == "depth") return 1;  // of recursive loops, which are not supported
  if (name == "depth0") return 0;
  if (name == "nextitem") return neighbour(budget, loop, loop.index + 1);
  if (name == "previtem")
    return neighbour(budget, loop, loop.index - 1);  // index 0 wraps around, beyond the last item
  if (name == "cycle" || name == "changed") {
    fail(ErrorKind::kUnsupported, "loop.", name, " is not supported");
  }
  return make_undefined(budget, "the loop has no attribute '" + shorten(name) + "'");
}

// Jinja's sandbox hides methods that change their object.
bool changes_its_object(const Value& object, std::string_view name) {
  constexpr std::string_view kList[] = {
      "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"};
  constexpr std::string_view kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  const auto among = [name](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  const auto* sequence = object.object<Sequence>();
  if (sequence) return sequence->kind == SequenceKind::kList && among(kList);
  return object.is<DictPtr>() && among(kDict);
}

// An attribute or a method, but no entry of a dict; null if there is none.
const Value* find_attribute(Budget& budget,
                            const Value& object,
                            std::string_view name,
                            Value& storage) {
  if (const auto* space = object.as<Namespace*>()) return (*space)->attributes.find(budget, name);
  if (const Loop* loop = object.object<Loop>()) {
    storage = loop_attribute(budget, *loop, name);
  } else if (changes_its_object(object, name)) {
    storage = make_undefined(
        budget, "the sandbox has no '" + std::string(name) + "': it would change a value");
  } else if (const Transform* method = find_method(object, name)) {
    budget.touch(sizeof(Method));
    storage = std::make_shared<const Method>(Method{object, method});
  } else {
    return nullptr;
  }
  return &storage;
}

size_t as_index(int64_t index, int64_t length) {
  const int64_t from_start = index < 0 ? index + length : index;
  const bool inside = from_start >= 0 && from_start < length;
  return inside ? static_cast<size_t>(from_start) : std::numeric_limits<size_t>::max();
}

Text characters(Budget& budget, const Text& text, size_t begin, size_t end) {
  constexpr size_t kLongest = 4;  // bytes of a character; byte_offset() counts the characters twice
  budget.touch(text.is_ascii() ? 0 : 2 * std::min(kLongest * end, text.bytes().size()));
  return substring(budget, text, text.byte_offset(begin), text.byte_offset(end));
}

const Value* find_item(Budget& budget, const Value& object, const Value& key, Value& storage) {
  if (const auto* dict = object.object<Dict>()) return dict->find_if_hashable(budget, key);
  int64_t index = 0;
  if (!as_integer(key, index)) return nullptr;
  const size_t at = as_index(index, length_of(object));
  if (at == std::numeric_limits<size_t>::max()) return nullptr;
  if (const Text* text = object.as<Text>()) {
    storage = characters(budget, *text, at, at + 1);
    return &storage;
  }
  const auto* sequence = object.object<Sequence>();
  const bool is_indexable = sequence && sequence->kind <= SequenceKind::kRange;
  return is_indexable ? &sequence->items[at] : nullptr;
}

struct Bounds {
  int64_t start;
  int64_t stop;
  int64_t step;
};

int64_t bound(
    const Value* value, int64_t fallback, int64_t lowest, int64_t highest, int64_t length) {
  if (!value || value->is<None>()) return fallback;
  int64_t number = 0;
  if (!as_integer(*value, number)) refuse_operand("slice", *value);
  return std::clamp(number < 0 ? number + length : number, lowest, highest);
}

// As Python's slice.indices.
Bounds resolve(const Value* start, const Value* stop, const Value* step, int64_t length) {
  constexpr int64_t kFar = std::numeric_limits<int64_t>::max() / 2;
  const int64_t by = bound(step, 1, -kFar, kFar, 0);
  PRECIS_CHECK(by != 0, kInvalidArgument, "slice: the step is zero");
  if (by > 0)
    return {bound(start, 0, 0, length, length), bound(stop, length, 0, length, length), by};
  return {bound(start, length - 1, -1, length - 1, length),
          bound(stop, -1, -1, length - 1, length),
          by};
}

template <typename Visit>
void for_each_index(const Bounds& bounds, Visit visit) {
  for (int64_t at = bounds.start; bounds.step > 0 ? at < bounds.stop : at > bounds.stop;
       at += bounds.step) {
    visit(static_cast<size_t>(at));
  }
}

Text slice_text(Budget& budget, const Text& text, const Bounds& bounds) {
  if (bounds.step == 1) {
    const int64_t stop = std::max(bounds.start, bounds.stop);
    return characters(budget, text, static_cast<size_t>(bounds.start), static_cast<size_t>(stop));
  }
  const SequencePtr characters = iterate(budget, text);
  TextBuilder out(budget);
  for_each_index(bounds, [&](size_t at) { out.add(*characters->items[at].as<Text>()); });
  return out.take(text.is_markup());
}

}  // namespace

bool contains(Budget& budget, const Value& container, const Value& item) {
  if (const auto* dict = container.object<Dict>()) return dict->find(budget, item) != nullptr;
  if (const Text* text = container.as<Text>()) {
    const Text* part = item.as<Text>();
    if (!part) refuse_operand("in <string>", item);
    return !find_all(budget, text->bytes(), part->bytes(), 1).empty();
  }
  const SequencePtr sequence = open_sequence(budget, container);
  return std::any_of(sequence->items.begin(), sequence->items.end(), [&](const Value& other) {
    return equals(budget, other, item);
  });
}

Value attribute(Budget& budget, const Value& object, std::string_view name) {
  require_defined(object);
  Value storage;
  if (const Value* found = find_attribute(budget, object, name, storage)) return *found;
  const auto* dict = object.object<Dict>();
  const Value* entry = dict ? dict->find(budget, name) : nullptr;
  check_supported(object, name);
  return entry ? *entry : missing(budget, object, name);
}

Value subscript(Budget& budget, const Value& object, const Value& key) {
  require_defined(object);
  Value storage;
  if (const Value* found = find_item(budget, object, key, storage)) return *found;
  const Text* name = key.as<Text>();
  if (!name) return missing(budget, object, to_text(budget, key).bytes());
  const Value* found = find_attribute(budget, object, name->bytes(), storage);
  return found ? *found : missing(budget, object, name->bytes());
}

Value slice(
    Budget& budget, const Value& object, const Value* start, const Value* stop, const Value* step) {
  const Bounds bounds = resolve(start, stop, step, length_of(object));
  if (const Text* text = object.as<Text>()) return slice_text(budget, *text, bounds);
  const auto* sequence = object.object<Sequence>();
  const bool is_indexable = sequence && sequence->kind <= SequenceKind::kRange;
  if (!is_indexable) refuse_operand("slice", object);
  std::vector<Value> items;
  for_each_index(bounds, [&](size_t at) { items.push_back(sequence->items[at]); });
  return make_sequence(budget, sequence->kind, std::move(items));
}

}  // namespace precis::jinja
