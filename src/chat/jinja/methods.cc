// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"

// The methods of dicts, lists and tuples.
namespace precis::jinja {
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
  return self;  // nothing changes it
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
