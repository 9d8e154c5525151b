// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "chat/jinja/operators.h"
#include "chat/jinja/print.h"
#include "chat/jinja/strings.h"

namespace precis::jinja {
namespace {

// The methods of Python's strings that a template may count on, but that are not here.
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
      budget, "'" + std::string(type_name(object)) + "' has no attribute '" + shown(name) + "'");
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
    return neighbour(budget, loop, loop.index - 1);  // wraps around to no item
  if (name == "cycle" || name == "changed") {
    fail(ErrorKind::kUnsupported, "loop.", name, " is not supported");
  }
  return make_undefined(budget, "the loop has no attribute '" + shown(name) + "'");
}

// Jinja's sandbox hides what would change a value.
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

// An attribute in Python's sense, without the entries of a dict; null if there is none.
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
  constexpr size_t kLongest = 4;  // bytes of a character: those up to `end` are counted twice
  budget.touch(text.is_ascii() ? 0 : 2 * std::min(kLongest * end, text.bytes().size()));
  return substring(budget, text, text.byte_offset(begin), text.byte_offset(end));
}

const Value* find_item(Budget& budget, const Value& object, const Value& key, Value& storage) {
  if (const auto* dict = object.object<Dict>()) return dict->find_if_hashable(budget, key);
  int64_t index = 0;
  if (!as_integer(key, index)) return nullptr;
  const size_t place = as_index(index, length_of(object));
  if (place == std::numeric_limits<size_t>::max()) return nullptr;
  if (const Text* text = object.as<Text>()) {
    storage = characters(budget, *text, place, place + 1);
    return &storage;
  }
  const auto* sequence = object.object<Sequence>();
  const bool has_places = sequence && sequence->kind <= SequenceKind::kRange;
  return has_places ? &sequence->items[place] : nullptr;
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
void for_each_place(const Bounds& bounds, Visit visit) {
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
  for_each_place(bounds, [&](size_t at) { out.add(*characters->items[at].as<Text>()); });
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
  const bool has_places = sequence && sequence->kind <= SequenceKind::kRange;
  if (!has_places) refuse_operand("slice", object);
  std::vector<Value> items;
  for_each_place(bounds, [&](size_t at) { items.push_back(sequence->items[at]); });
  return make_sequence(budget, sequence->kind, std::move(items));
}

}  // namespace precis::jinja
