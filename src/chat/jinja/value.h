// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "chat/jinja/budget.h"
#include "chat/jinja/text.h"

// Values of templates and what all of them have: truth, equality, order, length, iteration.
namespace precis::jinja {

class Dict;
struct Function;
struct Loop;
struct Macro;
struct Method;
struct Namespace;
struct Sequence;

// The value of a missing name. It prints as nothing; most other uses are an error that says `why`.
struct Undefined {
  std::shared_ptr<const std::string> why;
};
struct None {};

// A value of a template, with Python's semantics. Containers are immutable, except namespaces,
// which Environment owns. Cheap to copy.
class Value {
 public:
  Value() = default;  // undefined
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(None none) : data_(none) {}
  Value(bool truth) : data_(truth) {}
  Value(int number) : data_(int64_t{number}) {}
  Value(int64_t number) : data_(number) {}
  Value(size_t number) : data_(static_cast<int64_t>(number)) {}
  Value(double number) : data_(number) {}
  Value(Text text) : data_(std::move(text)) {}
  Value(std::shared_ptr<const Sequence> sequence) : data_(std::move(sequence)) {}
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  Value(std::shared_ptr<const Loop> loop) : data_(std::move(loop)) {}
  Value(std::shared_ptr<const Macro> macro) : data_(std::move(macro)) {}
  Value(std::shared_ptr<const Method> method) : data_(std::move(method)) {}
  Value(const Function* function) : data_(function) {}
  Value(Namespace* space) : data_(space) {}
  Value(const char*) = delete;  // would be a bool

  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(data_);
  }
  template <typename T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  // For types that are held by pointer; null if the value is of another type.
  template <typename T>
  const T* object() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&data_);
    return pointer ? pointer->get() : nullptr;
  }
  const auto& data() const { return data_; }

 private:
  std::variant<Undefined,
               None,
               bool,
               int64_t,
               double,
               Text,
               std::shared_ptr<const Sequence>,
               std::shared_ptr<const Dict>,
               std::shared_ptr<const Loop>,
               std::shared_ptr<const Macro>,
               std::shared_ptr<const Method>,
               const Function*,
               Namespace*>
      data_;
};

enum class SequenceKind { kList, kTuple, kRange, kKeys, kValues, kItems, kIterator };

struct Sequence {
  SequenceKind kind;
  std::vector<Value> items;
  int depth;                   // of nested containers; limited, because they are freed recursively
  mutable bool spent = false;  // an iterator can be iterated over once
};
using SequencePtr = std::shared_ptr<const Sequence>;

// A dict in the order of insertion, as in Python.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  // The key must be hashable, or these throw.
  const Value* find(Budget& budget, const Value& key) const;
  const Value* find(Budget& budget, std::string_view key) const;
  void set(Budget& budget, const Value& key, Value value);
  // Null for a key that is not hashable.
  const Value* find_if_hashable(Budget& budget, const Value& key) const;

  const std::vector<Entry>& entries() const { return entries_; }
  int depth() const { return depth_; }

 private:
  const Value* find_encoded(Budget& budget, const std::string& key) const;

  std::vector<Entry> entries_;
  std::map<std::string, size_t> index_;
  int depth_ = 1;
};
using DictPtr = std::shared_ptr<const Dict>;

struct Namespace {
  Dict attributes;
};

// The variable "loop".
struct Loop {
  SequencePtr items;
  size_t index = 0;  // of the current item, from 0
};

// The bytes by which a key is found: equal keys have equal ones. Throws for a value that is not
// hashable.
std::string encode_key(Budget& budget, const Value& value);

int depth_of(const Value& value);
int check_container_depth(int depth);  // throws if it is too deep
std::string_view type_name(const Value& value);
bool is_true(const Value& value);
bool is_number(const Value& value);                               // bool, int or float
double as_double(const Value& value);                             // of a number
const int64_t* as_integer(const Value& value, int64_t& storage);  // of an int or a bool, else null

bool equals(Budget& budget, const Value& left, const Value& right);
// Negative, zero or positive. Throws for types that Python does not order.
int compare(Budget& budget, const Value& left, const Value& right);

Value make_sequence(Budget& budget, SequenceKind kind, std::vector<Value> items);
Value make_dict(Budget& budget, Dict dict);
Value make_undefined(Budget& budget, std::string why);

// The items of a value that can be iterated over, all of them charged; throws for other values.
SequencePtr iterate(Budget& budget, const Value& value);
// The same without the charge, for callers that read a few items or charge for each.
SequencePtr open_sequence(Budget& budget, const Value& value);
bool is_iterable(const Value& value);
// As Python's len(); negative if the value has none.
int64_t length_of(const Value& value);

// A name for an error message; a long one is cut.
std::string shorten(std::string_view name);

// Throws if the value is undefined.
void require_defined(const Value& value);
[[noreturn]] void refuse_operand(std::string_view operation, const Value& value);

}  // namespace precis::jinja
