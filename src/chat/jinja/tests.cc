// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/strings.h"

// Tests: value is defined, value is divisibleby 3, ...
namespace precis::jinja {
namespace {

// A test without arguments.
template <bool (*holds)(const Value&)>
bool plain(Environment&, const Value& input, const Arguments& arguments) {
  const Bound bound("test", arguments, {});
  return holds(input);
}

template <typename T>
bool has_type(const Value& value) {
  return value.is<T>();
}
bool is_defined(const Value& value) { return !value.is<Undefined>(); }
template <bool wanted>
bool is_bool(const Value& value) {
  return value.is<bool>() && *value.as<bool>() == wanted;
}

// Jinja's "sequence": has a length and can be subscripted. Python's dicts are included.
bool is_sequence(const Value& value) {
  const auto* sequence = value.object<Sequence>();
  return value.is<Text>() || value.is<DictPtr>() || value.is<Undefined>() ||
         (sequence && sequence->kind <= SequenceKind::kRange);
}

bool is_callable(const Value& value) {
  return value.is<const Function*>() || value.object<Macro>() || value.object<Method>() ||
         value.is<Undefined>();
}

bool is_escaped(const Value& value) { return value.is<Text>() && value.as<Text>()->is_markup(); }

template <bool is_upper>
bool has_case(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("lower", arguments, {});
  return is_cased(environment.budget, to_text(environment.budget, input), is_upper);
}

bool is_divisible(Environment& environment, const Value& input, const Value& by) {
  const Value rest = calculate(environment.budget, Arithmetic::kModulo, input, by);
  return is_number(rest) && as_double(rest) == 0;
}

bool divisible_by(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("divisibleby", arguments, {"num"}, 1);
  return is_divisible(environment, input, *bound[0]);
}

template <bool is_odd>
bool parity(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("odd", arguments, {});
  return is_divisible(environment, input, 2) != is_odd;
}

// Python's "is". Values without identity are the same if they are equal and of the same type.
bool same_as(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("sameas", arguments, {"other"}, 1);
  const Value& other = *bound[0];
  if (const auto* sequence = input.object<Sequence>()) return sequence == other.object<Sequence>();
  if (const auto* dict = input.object<Dict>()) return dict == other.object<Dict>();
  return input.data().index() == other.data().index() && equals(environment.budget, input, other);
}

bool in(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("in", arguments, {"seq"}, 1);
  return contains(environment.budget, *bound[0], input);
}

template <bool wanted>
bool equal_to(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("eq", arguments, {"other"}, 1);
  return equals(environment.budget, input, *bound[0]) == wanted;
}

template <bool (*accepts)(int)>
bool ordered(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("comparison", arguments, {"other"}, 1);
  return accepts(compare(environment.budget, input, *bound[0]));
}
bool is_less(int order) { return order < 0; }
bool is_at_most(int order) { return order <= 0; }
bool is_more(int order) { return order > 0; }
bool is_at_least(int order) { return order >= 0; }

bool filter(Environment&, const Value& input, const Arguments&) {
  const Text* name = input.as<Text>();
  return name && find_filter(name->bytes());
}

bool test(Environment&, const Value& input, const Arguments&) {
  const Text* name = input.as<Text>();
  return name && find_test(name->bytes());
}

constexpr Test kTests[] = {
    {"defined", plain<is_defined>},
    {"undefined", plain<has_type<Undefined>>},
    {"none", plain<has_type<None>>},
    {"boolean", plain<has_type<bool>>},
    {"true", plain<is_bool<true>>},
    {"false", plain<is_bool<false>>},
    {"integer", plain<has_type<int64_t>>},
    {"float", plain<has_type<double>>},
    {"number", plain<is_number>},
    {"string", plain<has_type<Text>>},
    {"mapping", plain<has_type<DictPtr>>},
    {"sequence", plain<is_sequence>},
    {"iterable", plain<is_iterable>},
    {"callable", plain<is_callable>},
    {"escaped", plain<is_escaped>},
    {"lower", has_case<false>},
    {"upper", has_case<true>},
    {"odd", parity<true>},
    {"even", parity<false>},
    {"divisibleby", divisible_by},
    {"sameas", same_as},
    {"in", in},
    {"eq", equal_to<true>},
    {"==", equal_to<true>},
    {"equalto", equal_to<true>},
    {"ne", equal_to<false>},
    {"!=", equal_to<false>},
    {"lt", ordered<is_less>},
    {"<", ordered<is_less>},
    {"lessthan", ordered<is_less>},
    {"le", ordered<is_at_most>},
    {"<=", ordered<is_at_most>},
    {"gt", ordered<is_more>},
    {">", ordered<is_more>},
    {"greaterthan", ordered<is_more>},
    {"ge", ordered<is_at_least>},
    {">=", ordered<is_at_least>},
    {"filter", filter},
    {"test", test},
};

}  // namespace

std::span<const Test> tests() { return kTests; }

const Test* find_test(std::string_view name) { return find_row(tests(), name); }

}  // namespace precis::jinja
