// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/jinja/value.h"

// Everything that a template can call (filters, tests, functions, methods, one table each) and the
// binding of arguments to parameters.
namespace precis::jinja {

// The state of one rendering, used by one thread.
struct Environment {
  Budget budget;
  std::chrono::sys_seconds now;
  // Owned here, because namespaces can refer to each other in cycles.
  std::vector<std::unique_ptr<Namespace>> namespaces;
};

// Sets space.name. Throws for a name that begins with an underscore, as transformers does.
void set_attribute(Budget& budget, Namespace& space, const Text& name, const Value& value);

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<Text, Value>> named;
};

// The arguments of a call, bound to the callee's parameters as in Python. A missing one is null.
class Bound {
 public:
  // Throws if arguments are unknown, given twice, too many or fewer than `num_required`.
  Bound(std::string_view callee,
        const Arguments& arguments,
        std::initializer_list<std::string_view> parameters,
        size_t num_required = 0);

  const Value* operator[](size_t parameter) const { return values_[parameter]; }
  // These throw for an argument of another type.
  const Text& text(size_t parameter) const;  // must have been given
  int64_t integer(size_t parameter, int64_t fallback) const;
  bool truth(size_t parameter, bool fallback) const;  // of any type
  bool is_given(size_t parameter) const;              // given, and not none

 private:
  void bind_named(const std::pair<Text, Value>& named,
                  std::initializer_list<std::string_view> parameters);

  std::string callee_;
  std::vector<const Value*> values_;
};

// A filter, or a method of strings, dicts or lists.
struct Transform {
  std::string_view name;
  Value (*apply)(Environment& environment, const Value& input, const Arguments& arguments);
};
struct Test {
  std::string_view name;
  bool (*holds)(Environment& environment, const Value& input, const Arguments& arguments);
};
struct Function {
  std::string_view name;
  Value (*call)(Environment& environment, const Arguments& arguments);
};
// A method bound to its object: value.strip.
struct Method {
  Value self;
  const Transform* transform;
};

// Look-ups by name; null if there is none.
const Transform* find_filter(std::string_view name);
const Test* find_test(std::string_view name);
const Function* find_function(std::string_view name);
const Transform* find_method(const Value& self, std::string_view name);

// The tables. Whatever returns a text keeps the origin of every byte; numbers have no origin.
std::span<const Transform> value_filters();
std::span<const Transform> sequence_filters();
std::span<const Transform> text_methods();
std::span<const Transform> dict_methods();
std::span<const Transform> list_methods();
std::span<const Test> tests();
std::span<const Function> functions();

template <typename Row>
const Row* find_row(std::span<const Row> rows, std::string_view name) {
  for (const Row& row : rows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace precis::jinja
