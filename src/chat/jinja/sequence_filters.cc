// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/strings.h"

// Filters of sequences, and of other values that can be iterated over.
namespace precis::jinja {
namespace {

Value as_key(const Text& text) {
  const std::string_view name = text.bytes();
  int64_t index = 0;
  const auto end = std::from_chars(name.data(), name.data() + name.size(), index).ptr;
  const bool is_index = !name.empty() && name.front() != '-' && end == name.data() + name.size();
  return is_index ? Value(index) : Value(text);
}

Value subscript_or(Budget& budget, const Value& from, const Value& key, const Value* fallback) {
  const Value value = subscript(budget, from, key);
  return fallback && value.is<Undefined>() ? *fallback : value;
}

// Follows a path of names and indices such as "name.0.field". An undefined value on the path
// becomes the fallback, if there is one.
Value follow(Budget& budget,
             const Value& start,
             const Value& path,
             const Value* fallback = nullptr) {
  const Text* text = path.as<Text>();
  if (!text) return subscript_or(budget, start, path, fallback);
  Value at = start;
  for (const Text& name : split(budget, *text, ".", -1, Side::kLeft)) {
    budget.step();
    at = subscript_or(budget, at, as_key(name), fallback);
  }
  return at;
}

// The key by which items are compared: the item or an attribute of it, case-sensitive or not.
struct Key {
  const Value* path = nullptr;
  bool case_sensitive = true;

  Value of(Budget& budget, const Value& item) const {
    const Value value = path ? follow(budget, item, *path) : item;
    if (case_sensitive || !value.is<Text>()) return value;
    return lower(budget, *value.as<Text>());
  }
};

const Value* given(const Bound& bound, size_t parameter) {
  return bound.is_given(parameter) ? bound[parameter] : nullptr;
}

Value as_iterator(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, SequenceKind::kIterator, std::move(items));
}

Value join_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  Budget& budget = environment.budget;
  const Key key{given(bound, 1)};
  std::vector<Text> parts;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    parts.push_back(to_text(budget, key.of(budget, item)));
  }
  return join(budget, parts, bound[0] ? to_text(budget, *bound[0]) : Text());
}

Value list(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("list", arguments, {});
  const SequencePtr sequence = iterate(environment.budget, input);
  return make_sequence(environment.budget, SequenceKind::kList, sequence->items);
}

Value items(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  if (input.is<Undefined>()) return as_iterator(environment.budget, {});
  if (!input.is<DictPtr>()) refuse_operand("items", input);
  const Value pairs = find_method(input, "items")->apply(environment, input, {});
  return as_iterator(environment.budget, pairs.object<Sequence>()->items);
}

Value first(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("first", arguments, {});
  const SequencePtr sequence = open_sequence(environment.budget, input);
  if (sequence->items.empty()) {
    return make_undefined(environment.budget, "first: the sequence is empty");
  }
  return sequence->items.front();
}

Value last(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("last", arguments, {});
  if (length_of(input) < 0) refuse_operand("last", input);
  const SequencePtr sequence = open_sequence(environment.budget, input);
  if (sequence->items.empty()) {
    return make_undefined(environment.budget, "last: the sequence is empty");
  }
  return sequence->items.back();
}

Value reverse_filter(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("reverse", arguments, {});
  Budget& budget = environment.budget;
  if (const Text* text = input.as<Text>()) return reverse(budget, *text);
  std::vector<Value> reversed = iterate(budget, input)->items;
  std::reverse(reversed.begin(), reversed.end());
  return as_iterator(budget, std::move(reversed));
}

struct Keyed {
  std::vector<Value> keys;
  Value item;
};

bool is_before(Budget& budget, const Keyed& left, const Keyed& right) {
  for (size_t i = 0; i < left.keys.size(); ++i) {
    if (equals(budget, left.keys[i], right.keys[i])) continue;
    return compare(budget, left.keys[i], right.keys[i]) < 0;
  }
  return false;
}

// Stable also in reverse, as Python's sorted().
Value sort_by_keys(Budget& budget, std::vector<Keyed> keyed, bool reverse) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& left, const Keyed& right) {
    return reverse ? is_before(budget, right, left) : is_before(budget, left, right);
  });
  std::vector<Value> items;
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return make_sequence(budget, SequenceKind::kList, std::move(items));
}

// "a,b" sorts by two attributes.
std::vector<Value> sort_paths(Budget& budget, const Value* attribute) {
  if (!attribute) return {};
  const Text* text = attribute->as<Text>();
  if (!text) return {*attribute};
  const std::vector<Text> paths = split(budget, *text, ",", -1, Side::kLeft);
  return {paths.begin(), paths.end()};
}

Value sort(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  Budget& budget = environment.budget;
  const bool case_sensitive = bound.truth(1, false);
  const std::vector<Value> paths = sort_paths(budget, given(bound, 2));
  std::vector<Keyed> keyed;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    Keyed entry{{}, item};
    for (const Value& path : paths)
      entry.keys.push_back(Key{&path, case_sensitive}.of(budget, item));
    if (paths.empty()) entry.keys.push_back(Key{nullptr, case_sensitive}.of(budget, item));
    budget.touch(sizeof(Keyed) + entry.keys.size() * sizeof(Value));
    keyed.push_back(std::move(entry));
  }
  return sort_by_keys(budget, std::move(keyed), bound.truth(0, false));
}

Value dictsort(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  Budget& budget = environment.budget;
  const std::string_view by = bound[1] ? bound.text(1).bytes() : "key";
  PRECIS_CHECK(by == "key" || by == "value", kInvalidArgument, "dictsort: by is key or value");
  const auto* dict = input.object<Dict>();
  if (!dict) refuse_operand("dictsort", input);
  const Key key{nullptr, bound.truth(0, false)};
  std::vector<Keyed> keyed;
  for (const auto& [name, value] : dict->entries()) {
    keyed.push_back({{key.of(budget, by == "key" ? name : value)},
                     make_sequence(budget, SequenceKind::kTuple, {name, value})});
  }
  return sort_by_keys(budget, std::move(keyed), bound.truth(2, false));
}

Value unique(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  Budget& budget = environment.budget;
  const Key key{given(bound, 1), bound.truth(0, false)};
  std::set<std::string> seen;
  std::vector<Value> kept;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    std::string encoded = encode_key(budget, key.of(budget, item));
    budget.search(encoded.size(), seen.size());
    if (seen.insert(std::move(encoded)).second) kept.push_back(item);
  }
  return as_iterator(budget, std::move(kept));
}

// `sign`: 1 for the largest item, -1 for the smallest; the first of equal ones.
template <int sign>
Value extreme(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("min and max", arguments, {"case_sensitive", "attribute"});
  Budget& budget = environment.budget;
  const Key key{given(bound, 1), bound.truth(0, false)};
  const SequencePtr sequence = iterate(budget, input);
  if (sequence->items.empty()) return make_undefined(budget, "the sequence is empty");
  const Value* best = &sequence->items.front();
  for (const Value& item : sequence->items) {
    if (sign * compare(budget, key.of(budget, item), key.of(budget, *best)) > 0) best = &item;
  }
  return *best;
}

Value sum(Environment& environment, const Value& input, const Arguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Budget& budget = environment.budget;
  const Key key{given(bound, 0)};
  Value total = bound[1] ? *bound[1] : Value(0);
  if (total.is<Text>()) refuse_operand("sum", total);
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    total = calculate(budget, Arithmetic::kAdd, total, key.of(budget, item));
  }
  return total;
}

Arguments without_first(Budget& budget, const Arguments& arguments, size_t count) {
  budget.touch((arguments.positional.size() + 2 * arguments.named.size()) * sizeof(Value));
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

std::string_view name_argument(const Arguments& arguments, size_t index, std::string_view what) {
  const bool is_text =
      arguments.positional.size() > index && arguments.positional[index].is<Text>();
  PRECIS_CHECK(is_text, kInvalidArgument, what, ": needs a name as an argument");
  return arguments.positional[index].as<Text>()->bytes();
}

Value map_attribute(Budget& budget, const Value& input, const Arguments& arguments) {
  const Bound bound("map", arguments, {"attribute", "default"}, 1);
  std::vector<Value> mapped;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    mapped.push_back(follow(budget, item, *bound[0], given(bound, 1)));
  }
  return as_iterator(budget, std::move(mapped));
}

Value map(Environment& environment, const Value& input, const Arguments& arguments) {
  Budget& budget = environment.budget;
  const Nesting nesting(budget);  // map can apply map, and so on
  if (arguments.positional.empty()) return map_attribute(budget, input, arguments);
  const std::string_view name = name_argument(arguments, 0, "map");
  const Transform* filter = find_filter(name);
  PRECIS_CHECK(filter, kUnsupported, "the filter '", shorten(name), "' is not supported");
  const Arguments rest = without_first(budget, arguments, 1);
  std::vector<Value> mapped;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    budget.step();
    mapped.push_back(filter->apply(environment, item, rest));
  }
  return as_iterator(budget, std::move(mapped));
}

// select and reject test each item, selectattr and rejectattr an attribute of it. Without the name
// of a test they keep items by their truth.
template <bool by_attribute, bool wanted>
Value select(Environment& environment, const Value& input, const Arguments& arguments) {
  Budget& budget = environment.budget;
  if (!is_true(input)) return as_iterator(budget, {});
  constexpr size_t kName = by_attribute ? 1 : 0;
  if (by_attribute) name_argument(arguments, 0, "selectattr");
  const bool has_test = arguments.positional.size() > kName;
  const Test* test = has_test ? find_test(name_argument(arguments, kName, "select")) : nullptr;
  PRECIS_CHECK(test || !has_test, kUnsupported, "select: a test that is not supported");
  const Arguments rest = has_test ? without_first(budget, arguments, kName + 1) : Arguments{};
  const Key key{by_attribute ? &arguments.positional[0] : nullptr};
  std::vector<Value> kept;
  const SequencePtr sequence = iterate(budget, input);
  for (const Value& item : sequence->items) {
    budget.step();
    const Value value = key.of(budget, item);
    if ((test ? test->holds(environment, value, rest) : is_true(value)) == wanted) {
      kept.push_back(item);
    }
  }
  return as_iterator(budget, std::move(kept));
}

constexpr Transform kFilters[] = {
    {"join", join_filter},
    {"list", list},
    {"items", items},
    {"first", first},
    {"last", last},
    {"reverse", reverse_filter},
    {"sort", sort},
    {"dictsort", dictsort},
    {"unique", unique},
    {"min", extreme<-1>},
    {"max", extreme<1>},
    {"sum", sum},
    {"map", map},
    {"select", select<false, true>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<true, false>},
};

}  // namespace

std::span<const Transform> sequence_filters() { return kFilters; }

}  // namespace precis::jinja
