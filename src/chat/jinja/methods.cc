// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/print.h"
#include "chat/jinja/strings.h"

// Methods of strings, dicts, lists and tuples.
namespace precis::jinja {
namespace {

const Text& text_of(const Value& self) { return *self.as<Text>(); }

Value as_list(Budget& budget, std::vector<Text> texts, SequenceKind kind = SequenceKind::kList) {
  return make_sequence(budget, kind, std::vector<Value>(texts.begin(), texts.end()));
}

template <Side side>
Value strip_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("strip", arguments, {"chars"});
  const Text* characters = bound.is_given(0) ? &bound.text(0) : nullptr;
  return strip(environment.budget, text_of(self), side, characters);
}

template <Side from>
Value split_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("split", arguments, {"sep", "maxsplit"});
  const int64_t limit = bound.integer(1, -1);
  Budget& budget = environment.budget;
  if (!bound.is_given(0))
    return as_list(budget, split_at_space(budget, text_of(self), limit, from));
  return as_list(budget, split(budget, text_of(self), bound.text(0).bytes(), limit, from));
}

Value splitlines(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("splitlines", arguments, {"keepends"});
  Budget& budget = environment.budget;
  return as_list(budget, split_lines(budget, text_of(self), bound.truth(0, false)));
}

// partition and rpartition: the text before the separator, the separator, the text after it.
template <Side from>
Value partition(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("partition", arguments, {"sep"}, 1);
  Budget& budget = environment.budget;
  const Text& text = text_of(self);
  const size_t separator_size = bound.text(0).bytes().size();
  std::vector<Text> parts = split(budget, text, bound.text(0).bytes(), 1, from);
  if (parts.size() == 2) {
    // Taken from the text and not from the argument, because the bytes have the origin of the text.
    const size_t begin = parts[0].bytes().size();
    parts.insert(parts.begin() + 1, substring(budget, text, begin, begin + separator_size));
  } else {
    parts.insert(from == Side::kLeft ? parts.end() : parts.begin(), 2, Text());
  }
  return as_list(budget, std::move(parts), SequenceKind::kTuple);
}

Value replace_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("replace", arguments, {"old", "new", "count"}, 2);
  return replace(environment.budget,
                 text_of(self),
                 bound.text(0).bytes(),
                 bound.text(1),
                 bound.integer(2, -1));
}

Value join_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("join", arguments, {"iterable"}, 1);
  std::vector<Text> parts;
  const SequencePtr parts_given = iterate(environment.budget, *bound[0]);
  for (const Value& item : parts_given->items) {
    if (!item.is<Text>()) refuse_operand("join", item);
    parts.push_back(text_of(item));
  }
  return join(environment.budget, parts, text_of(self));
}

using CaseFunction = Text (*)(Budget&, const Text&);
template <CaseFunction change>
Value case_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("upper", arguments, {});
  return change(environment.budget, text_of(self));
}

template <CharacterClass wanted>
Value class_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("isalpha", arguments, {});
  return all_of_class(environment.budget, text_of(self), wanted);
}

template <bool is_upper>
Value cased_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("islower", arguments, {});
  return is_cased(environment.budget, text_of(self), is_upper);
}

bool has_affix(Budget& budget, std::string_view text, const Text& affix, bool at_start) {
  budget.step();
  budget.touch(affix.bytes().size());
  return at_start ? text.starts_with(affix.bytes()) : text.ends_with(affix.bytes());
}

// The affix may be a tuple of alternatives.
template <bool at_start>
Value affix_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound(at_start ? "startswith" : "endswith", arguments, {"affix"}, 1);
  const std::string_view text = text_of(self).bytes();
  const auto* tuple = bound[0]->object<Sequence>();
  if (!tuple) return has_affix(environment.budget, text, bound.text(0), at_start);
  if (tuple->kind != SequenceKind::kTuple) refuse_operand("startswith", *bound[0]);
  return std::any_of(tuple->items.begin(), tuple->items.end(), [&](const Value& affix) {
    if (!affix.is<Text>()) refuse_operand("startswith", affix);
    return has_affix(environment.budget, text, text_of(affix), at_start);
  });
}

template <bool at_start>
Value remove_affix(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("removeprefix", arguments, {"affix"}, 1);
  const Text& text = text_of(self);
  const Text& affix = bound.text(0);
  if (!has_affix(environment.budget, text.bytes(), affix, at_start)) return self;
  const size_t kept = text.bytes().size() - affix.bytes().size();
  return at_start ? substring(environment.budget, text, affix.bytes().size(), text.bytes().size())
                  : substring(environment.budget, text, 0, kept);
}

// The index of `part` in code points; -1 if it does not occur.
template <Side from>
int64_t find_index(Budget& budget, const Text& text, const Text& part) {
  if (from == Side::kRight) {
    const size_t index = find_last(budget, text.bytes(), part.bytes());
    if (index == std::string_view::npos) return -1;
    return static_cast<int64_t>(text.code_point_at(index));
  }
  const auto places = find_all(budget, text.bytes(), part.bytes(), 1);
  return places.empty() ? -1 : static_cast<int64_t>(text.code_point_at(places.front()));
}

template <Side from>
Value find_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("find", arguments, {"sub"}, 1);
  return find_index<from>(environment.budget, text_of(self), bound.text(0));
}

template <Side from>
Value index_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"sub"}, 1);
  const int64_t index = find_index<from>(environment.budget, text_of(self), bound.text(0));
  PRECIS_CHECK(index >= 0, kInvalidArgument, "index: the part is not in the string");
  return index;
}

Value count_method(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"sub"}, 1);
  const Text& part = bound.text(0);
  if (part.empty()) return text_of(self).length() + 1;
  return count_all(environment.budget, text_of(self).bytes(), part.bytes());
}

Value format_method(Environment& environment, const Value& self, const Arguments& arguments) {
  return format_braces(environment.budget, text_of(self), arguments);
}

constexpr Transform kMethods[] = {
    {"strip", strip_method<Side::kBoth>},
    {"lstrip", strip_method<Side::kLeft>},
    {"rstrip", strip_method<Side::kRight>},
    {"split", split_method<Side::kLeft>},
    {"rsplit", split_method<Side::kRight>},
    {"splitlines", splitlines},
    {"partition", partition<Side::kLeft>},
    {"rpartition", partition<Side::kRight>},
    {"replace", replace_method},
    {"join", join_method},
    {"upper", case_method<upper>},
    {"lower", case_method<lower>},
    {"capitalize", case_method<capitalize>},
    {"title", case_method<title>},
    {"startswith", affix_method<true>},
    {"endswith", affix_method<false>},
    {"removeprefix", remove_affix<true>},
    {"removesuffix", remove_affix<false>},
    {"find", find_method<Side::kLeft>},
    {"rfind", find_method<Side::kRight>},
    {"index", index_method<Side::kLeft>},
    {"rindex", index_method<Side::kRight>},
    {"count", count_method},
    {"format", format_method},
    {"isdigit", class_method<CharacterClass::kDigit>},
    {"isdecimal", class_method<CharacterClass::kDigit>},
    {"isalpha", class_method<CharacterClass::kAlpha>},
    {"isalnum", class_method<CharacterClass::kAlphanumeric>},
    {"isspace", class_method<CharacterClass::kSpace>},
    {"isupper", cased_method<true>},
    {"islower", cased_method<false>},
};

}  // namespace

std::span<const Transform> text_methods() { return kMethods; }

// The methods of dicts, lists and tuples.
namespace {

const Dict& dict_of(const Value& self) { return *self.object<Dict>(); }
const std::vector<Value>& items_of(const Value& self) { return self.object<Sequence>()->items; }

Value dict_get(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("get", arguments, {"key", "default"}, 1);
  if (const Value* found = dict_of(self).find(environment.budget, *bound[0])) return *found;
  return bound[1] ? *bound[1] : None();
}

Value dict_items(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("items", arguments, {});
  std::vector<Value> pairs;
  for (const auto& [key, value] : dict_of(self).entries()) {
    pairs.push_back(make_sequence(environment.budget, SequenceKind::kTuple, {key, value}));
  }
  return make_sequence(environment.budget, SequenceKind::kItems, std::move(pairs));
}

Value dict_keys(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("keys", arguments, {});
  std::vector<Value> keys;
  for (const auto& entry : dict_of(self).entries()) keys.push_back(entry.first);
  return make_sequence(environment.budget, SequenceKind::kKeys, std::move(keys));
}

Value dict_values(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("values", arguments, {});
  std::vector<Value> values;
  for (const auto& entry : dict_of(self).entries()) values.push_back(entry.second);
  return make_sequence(environment.budget, SequenceKind::kValues, std::move(values));
}

Value dict_copy(Environment&, const Value& self, const Arguments& arguments) {
  const Bound bound("copy", arguments, {});
  return self;  // values are immutable
}

Value list_count(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("count", arguments, {"value"}, 1);
  return static_cast<int64_t>(
      std::count_if(items_of(self).begin(), items_of(self).end(), [&](const Value& item) {
        return equals(environment.budget, item, *bound[0]);
      }));
}

Value list_index(Environment& environment, const Value& self, const Arguments& arguments) {
  const Bound bound("index", arguments, {"value"}, 1);
  const auto& items = items_of(self);
  const auto found = std::find_if(items.begin(), items.end(), [&](const Value& item) {
    return equals(environment.budget, item, *bound[0]);
  });
  PRECIS_CHECK(found != items.end(), kInvalidArgument, "index: the value is not in the list");
  return static_cast<int64_t>(found - items.begin());
}

constexpr Transform kDictMethods[] = {{"get", dict_get},
                                      {"items", dict_items},
                                      {"keys", dict_keys},
                                      {"values", dict_values},
                                      {"copy", dict_copy}};
constexpr Transform kListMethods[] = {
    {"count", list_count}, {"index", list_index}, {"copy", dict_copy}};

}  // namespace

std::span<const Transform> dict_methods() { return kDictMethods; }
std::span<const Transform> list_methods() { return kListMethods; }

const Transform* find_method(const Value& self, std::string_view name) {
  if (self.is<Text>()) return find_row(text_methods(), name);
  if (self.is<DictPtr>()) return find_row(dict_methods(), name);
  const auto* sequence = self.object<Sequence>();
  const bool has_methods = sequence && sequence->kind <= SequenceKind::kRange;
  return has_methods ? find_row(list_methods(), name) : nullptr;
}

}  // namespace precis::jinja
