// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/value.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"

namespace precis::jinja {
namespace {

// As in Python, an object is equal to itself, whatever it holds.
bool same_items(Budget& budget, const Sequence& left, const Sequence& right) {
  if (&left == &right) return true;
  if (left.kind != right.kind || left.kind == SequenceKind::kIterator) return false;
  return std::equal(left.items.begin(),
                    left.items.end(),
                    right.items.begin(),
                    right.items.end(),
                    [&](const Value& a, const Value& b) { return equals(budget, a, b); });
}

bool same_entries(Budget& budget, const Dict& left, const Dict& right) {
  if (&left == &right) return true;
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = right.find(budget, key);
    if (!other || !equals(budget, value, *other)) return false;
  }
  return true;
}

bool same_numbers(const Value& left, const Value& right) {
  int64_t a = 0;
  int64_t b = 0;
  if (as_integer(left, a) && as_integer(right, b)) return a == b;
  return as_double(left) == as_double(right);
}

template <typename T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

int compare_numbers(const Value& left, const Value& right) {
  int64_t a = 0;
  int64_t b = 0;
  if (as_integer(left, a) && as_integer(right, b)) return three_way(a, b);
  return three_way(as_double(left), as_double(right));
}

int compare_items(Budget& budget, const Sequence& left, const Sequence& right) {
  const size_t shared = std::min(left.items.size(), right.items.size());
  for (size_t i = 0; i < shared; ++i) {
    if (equals(budget, left.items[i], right.items[i])) continue;
    return compare(budget, left.items[i], right.items[i]);
  }
  return three_way(left.items.size(), right.items.size());
}

std::vector<Value> characters_of(Budget& budget, const Text& text) {
  std::vector<Value> characters;
  for_each_character(budget, text, [&](int32_t, std::string_view bytes, int source) {
    TextBuilder character(budget);
    character.add(bytes, source);
    characters.emplace_back(character.take());
  });
  return characters;
}

std::vector<Value> keys_of(const Dict& dict) {
  std::vector<Value> keys;
  for (const auto& entry : dict.entries()) keys.push_back(entry.first);
  return keys;
}

}  // namespace

int check_container_depth(int depth) {
  constexpr int kMaxDepth = 200;
  PRECIS_CHECK(depth <= kMaxDepth,
               kInvalidArgument,
               "a value of more than ",
               kMaxDepth,
               " containers within each other");
  return depth;
}

int depth_of(const Value& value) {
  if (const auto* sequence = value.object<Sequence>()) return sequence->depth;
  if (const auto* dict = value.object<Dict>()) return dict->depth();
  if (const auto* loop = value.object<Loop>()) return 1 + loop->items->depth;
  if (const auto* method = value.object<Method>()) return 1 + depth_of(method->self);
  return 0;
}

std::string_view type_name(const Value& value) {
  static constexpr std::string_view kNames[] = {"undefined",
                                                "None",
                                                "bool",
                                                "int",
                                                "float",
                                                "str",
                                                "sequence",
                                                "dict",
                                                "loop",
                                                "macro",
                                                "method",
                                                "function",
                                                "namespace"};
  static constexpr std::string_view kSequences[] = {
      "list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "generator"};
  const Sequence* sequence = value.object<Sequence>();
  return sequence ? kSequences[static_cast<size_t>(sequence->kind)] : kNames[value.data().index()];
}

bool is_true(const Value& value) {
  if (value.is<Undefined>() || value.is<None>()) return false;
  if (is_number(value)) return as_double(value) != 0;
  const int64_t length = length_of(value);
  return length != 0;  // negative: an object without a length, which is true
}

bool is_number(const Value& value) {
  return value.is<bool>() || value.is<int64_t>() || value.is<double>();
}

double as_double(const Value& value) {
  if (const double* real = value.as<double>()) return *real;
  int64_t number = 0;
  as_integer(value, number);
  return static_cast<double>(number);
}

const int64_t* as_integer(const Value& value, int64_t& storage) {
  if (const bool* truth = value.as<bool>()) {
    storage = *truth ? 1 : 0;
  } else if (const int64_t* number = value.as<int64_t>()) {
    storage = *number;
  } else {
    return nullptr;
  }
  return &storage;
}

bool equals(Budget& budget, const Value& left, const Value& right) {
  budget.step();
  if (is_number(left) && is_number(right)) return same_numbers(left, right);
  if (left.data().index() != right.data().index()) return false;
  if (left.is<Undefined>() || left.is<None>()) return true;
  if (const Text* text = left.as<Text>()) {
    budget.touch(std::min(text->bytes().size(), right.as<Text>()->bytes().size()));
    return text->bytes() == right.as<Text>()->bytes();
  }
  if (const auto* items = left.object<Sequence>()) {
    return same_items(budget, *items, *right.object<Sequence>());
  }
  if (const auto* dict = left.object<Dict>()) {
    return same_entries(budget, *dict, *right.object<Dict>());
  }
  if (left.is<Namespace*>()) return *left.as<Namespace*>() == *right.as<Namespace*>();
  if (left.is<const Function*>())
    return *left.as<const Function*>() == *right.as<const Function*>();
  return left.object<Macro>() == right.object<Macro>() &&
         left.object<Loop>() == right.object<Loop>() &&
         left.object<Method>() == right.object<Method>();
}

int compare(Budget& budget, const Value& left, const Value& right) {
  budget.step();
  if (is_number(left) && is_number(right)) return compare_numbers(left, right);
  const Text* text = left.as<Text>();
  if (text && right.is<Text>()) {
    budget.touch(std::min(text->bytes().size(), right.as<Text>()->bytes().size()));
    return text->bytes().compare(right.as<Text>()->bytes());
  }
  const auto* items = left.object<Sequence>();
  const auto* others = right.object<Sequence>();
  const bool ordered = items && others && items->kind == others->kind &&
                       (items->kind == SequenceKind::kList || items->kind == SequenceKind::kTuple);
  if (ordered) return compare_items(budget, *items, *others);
  require_defined(left);
  require_defined(right);
  fail(ErrorKind::kInvalidArgument,
       "no order between '",
       type_name(left),
       "' and '",
       type_name(right),
       "'");
}

Value make_sequence(Budget& budget, SequenceKind kind, std::vector<Value> items) {
  budget.touch(sizeof(Sequence) + items.size() * sizeof(Value));
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, depth_of(item));
  return std::make_shared<const Sequence>(
      Sequence{kind, std::move(items), check_container_depth(depth + 1)});
}

Value make_undefined(Budget& budget, std::string why) {
  constexpr size_t kOverhead = 128;  // bytes: the shared block and its string
  budget.touch(kOverhead + why.size());
  return Undefined{std::make_shared<const std::string>(std::move(why))};
}

SequencePtr open_sequence(Budget& budget, const Value& value) {
  const auto as_list = [&](std::vector<Value> items) {
    const Value list = make_sequence(budget, SequenceKind::kList, std::move(items));
    return *list.as<SequencePtr>();
  };
  if (const auto* sequence = value.as<SequencePtr>()) {
    if ((*sequence)->kind != SequenceKind::kIterator) return *sequence;
    if (std::exchange((*sequence)->spent, true)) return as_list({});
    return *sequence;
  }
  if (const Text* text = value.as<Text>()) return as_list(characters_of(budget, *text));
  if (const auto* dict = value.object<Dict>()) return as_list(keys_of(*dict));
  if (value.is<Undefined>()) return as_list({});
  fail(ErrorKind::kInvalidArgument, "'", type_name(value), "' object is not iterable");
}

SequencePtr iterate(Budget& budget, const Value& value) {
  SequencePtr sequence = open_sequence(budget, value);
  budget.touch(sequence->items.size() * sizeof(Value));
  return sequence;
}

bool is_iterable(const Value& value) {
  return value.is<SequencePtr>() || value.is<Text>() || value.is<DictPtr>() ||
         value.is<Undefined>() || value.object<Loop>() != nullptr;
}

int64_t length_of(const Value& value) {
  if (const Text* text = value.as<Text>()) return static_cast<int64_t>(text->length());
  if (const auto* dict = value.object<Dict>()) return static_cast<int64_t>(dict->entries().size());
  if (const auto* loop = value.object<Loop>()) {
    return static_cast<int64_t>(loop->items->items.size());
  }
  if (value.is<Undefined>()) return 0;
  const auto* sequence = value.object<Sequence>();
  const bool sized = sequence && sequence->kind != SequenceKind::kIterator;
  return sized ? static_cast<int64_t>(sequence->items.size()) : -1;
}

std::string shorten(std::string_view name) {
  constexpr size_t kMaxShown = 80;
  if (name.size() <= kMaxShown) return std::string(name);
  size_t end = kMaxShown;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;
  return std::string(name.substr(0, end)) + "...";
}

void require_defined(const Value& value) {
  if (const auto* undefined = value.as<Undefined>()) {
    fail(ErrorKind::kInvalidArgument, undefined->why ? *undefined->why : "an undefined value");
  }
}

void refuse_operand(std::string_view operation, const Value& value) {
  require_defined(value);
  fail(ErrorKind::kInvalidArgument,
       operation,
       ": not possible for a value of type '",
       type_name(value),
       "'");
}

// Dicts and the encoding of their keys.
namespace {

// In Python equal keys are the same key, whatever their types: True, 1 and 1.0.
std::string encode_number(double number) {
  constexpr double kExact = 9007199254740992.0;  // integers up to here are doubles
  if (std::trunc(number) == number && std::abs(number) <= kExact) {
    return "n" + std::to_string(static_cast<int64_t>(number)) + ";";
  }
  return "f" + std::string(reinterpret_cast<const char*>(&number), sizeof(number));
}

// Every encoding marks its end, so that those of a tuple's items can be concatenated.
class KeyEncoder {
 public:
  explicit KeyEncoder(Budget& budget) : budget_(budget) {}

  // False for a value that is not hashable. Each item is charged, because items that tuples share
  // are visited more than once.
  bool add(const Value& value) {
    budget_.step();
    int64_t number = 0;
    if (const Text* text = value.as<Text>()) return add_text(text->bytes());
    if (as_integer(value, number)) return add_bytes("n" + std::to_string(number) + ";");
    if (const double* real = value.as<double>()) return add_bytes(encode_number(*real));
    if (value.is<None>()) return add_bytes("N");
    if (value.is<Undefined>()) return add_bytes("U");
    const Sequence* tuple = value.object<Sequence>();
    return tuple && tuple->kind == SequenceKind::kTuple && add_tuple(*tuple);
  }
  bool add_text(std::string_view bytes) {
    return add_bytes("s" + std::to_string(bytes.size()) + ":") && add_bytes(bytes);
  }
  std::string take() { return std::move(encoded_); }

 private:
  bool add_bytes(std::string_view bytes) {
    budget_.touch(bytes.size());
    encoded_ += bytes;
    return true;
  }
  bool add_tuple(const Sequence& tuple) {
    add_bytes("t" + std::to_string(tuple.items.size()) + ":");
    return std::all_of(
        tuple.items.begin(), tuple.items.end(), [this](const Value& item) { return add(item); });
  }

  Budget& budget_;
  std::string encoded_;
};

std::optional<std::string> try_encode(Budget& budget, const Value& value) {
  KeyEncoder encoder(budget);
  return encoder.add(value) ? std::optional(encoder.take()) : std::nullopt;
}

}  // namespace

std::string encode_key(Budget& budget, const Value& value) {
  std::optional<std::string> key = try_encode(budget, value);
  PRECIS_CHECK(key, kInvalidArgument, "unhashable type: '", type_name(value), "'");
  return std::move(*key);
}

const Value* Dict::find_encoded(Budget& budget, const std::string& key) const {
  budget.search(key.size(), index_.size());
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(Budget& budget, const Value& key) const {
  return find_encoded(budget, encode_key(budget, key));
}

const Value* Dict::find_if_hashable(Budget& budget, const Value& key) const {
  const std::optional<std::string> encoded = try_encode(budget, key);
  return encoded ? find_encoded(budget, *encoded) : nullptr;
}

const Value* Dict::find(Budget& budget, std::string_view key) const {
  KeyEncoder encoder(budget);
  encoder.add_text(key);
  return find_encoded(budget, encoder.take());
}

void Dict::set(Budget& budget, const Value& key, Value value) {
  constexpr size_t kEntry = sizeof(Entry) + 96;  // and its entry in the index
  depth_ = std::max({depth_,
                     check_container_depth(1 + depth_of(key)),
                     check_container_depth(1 + depth_of(value))});
  std::string encoded = encode_key(budget, key);
  budget.touch(kEntry);
  budget.search(encoded.size(), index_.size());
  const auto [found, is_new] = index_.try_emplace(std::move(encoded), entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[found->second].second = std::move(value);
  }
}

Value make_dict(Budget& budget, Dict dict) {
  budget.touch(sizeof(Dict));
  return std::make_shared<const Dict>(std::move(dict));
}

}  // namespace precis::jinja
