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

namespace precis::jinja {

// What one rendering shares: one per call of ChatTemplate::render, so used by one thread.
struct Environment {
  Budget budget;
  std::chrono::sys_seconds now;
  // Namespaces can refer to each other in circles, so they live until the rendering ends.
  std::vector<std::unique_ptr<Namespace>> namespaces;
};

// Throws for a name that begins with an underscore, as transformers does.
void set_attribute(Budget& budget, Namespace& space, const Text& name, const Value& value);

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<Text, Value>> named;
};

// Arguments in the order of a callee's parameters, as Python binds them. A missing one is null.
class Bound {
 public:
  // Throws if arguments are unknown, given twice, too many or fewer than `num_required`.
  Bound(std::string_view callee,
        const Arguments& arguments,
        std::initializer_list<std::string_view> parameters,
        size_t num_required = 0);

  const Value* operator[](size_t parameter) const { return values_[parameter]; }
  // These throw if the argument is there but of another kind.
  const Text& text(size_t parameter) const;  // the argument must be there
  int64_t integer(size_t parameter, int64_t fallback) const;
  bool truth(size_t parameter, bool fallback) const;  // of any kind
  bool is_given(size_t parameter) const;              // and is not none

 private:
  void place(const std::pair<Text, Value>& named,
             std::initializer_list<std::string_view> parameters);

  std::string callee_;
  std::vector<const Value*> values_;
};

// Filters, and the methods of strings, dicts and lists.
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
// A method taken from its object: value.strip.
struct Method {
  Value self;
  const Transform* transform;
};

// Null for a name that Precis does not have.
const Transform* find_filter(std::string_view name);
const Test* find_test(std::string_view name);
const Function* find_function(std::string_view name);
const Transform* find_method(const Value& self, std::string_view name);

// All that there is, by kind. What any of them makes of a text keeps the origin of its bytes; a
// number has none.
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
