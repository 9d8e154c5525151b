// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "base/check.h"
#include "chat/jinja/value.h"

// Dicts, and what their keys are found by.
namespace precis::jinja {
namespace {

// Python finds equal keys whatever their types: True is 1 is 1.0.
std::string encode_number(double number) {
  constexpr double kExact = 9007199254740992.0;  // integers up to here are doubles
  if (std::trunc(number) == number && std::abs(number) <= kExact) {
    return "n" + std::to_string(static_cast<int64_t>(number)) + ";";
  }
  return "f" + std::string(reinterpret_cast<const char*>(&number), sizeof(number));
}

// Every encoding says where it ends, so that those of a tuple's items stand beside each other.
class KeyEncoder {
 public:
  explicit KeyEncoder(Budget& budget) : budget_(budget) {}

  // False for what cannot be a key. Items that tuples share are walked as often as they are
  // reached, so each is charged.
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
  constexpr size_t kEntry = sizeof(Entry) + 96;  // and its place in the index
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
