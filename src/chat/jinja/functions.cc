// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/date.h"
#include "chat/jinja/print.h"

// The names that every template can call.
namespace precis::jinja {
namespace {

// Jinja's sandbox allows no longer range.
constexpr uint64_t kMaxRange = 100'000;

std::vector<Value> numbers(int64_t start, int64_t stop, int64_t step) {
  PRECIS_CHECK(step != 0, kInvalidArgument, "range: the step is zero");
  // Unsigned, any difference of two 64 bit numbers fits.
  const auto from = static_cast<uint64_t>(step > 0 ? start : stop);
  const auto to = static_cast<uint64_t>(step > 0 ? stop : start);
  const bool is_empty = step > 0 ? start >= stop : start <= stop;
  const uint64_t by = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = is_empty ? 0 : (to - from - 1) / by + 1;
  PRECIS_CHECK(count <= kMaxRange, kInvalidArgument, "range: more than ", kMaxRange, " numbers");
  std::vector<Value> numbers;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) numbers.emplace_back(start + i * step);
  return numbers;
}

Value range(Environment& environment, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  const int64_t first = bound.integer(0, 0);
  const int64_t step = bound.integer(2, 1);
  return make_sequence(
      environment.budget,
      SequenceKind::kRange,
      bound[1] ? numbers(first, bound.integer(1, 0), step) : numbers(0, first, step));
}

// A dict, or pairs of key and value.
void add_entries(Budget& budget, const Value& from, Dict& dict) {
  require_defined(from);
  if (const auto* other = from.object<Dict>()) {
    for (const auto& [key, value] : other->entries()) dict.set(budget, key, value);
    return;
  }
  const SequencePtr sequence = iterate(budget, from);
  for (const Value& item : sequence->items) {
    const SequencePtr pair = open_sequence(budget, item);
    PRECIS_CHECK(pair->items.size() == 2, kInvalidArgument, "dict: pairs are expected");
    dict.set(budget, pair->items[0], pair->items[1]);
  }
}

Dict make_entries(Budget& budget, const Arguments& arguments) {
  PRECIS_CHECK(
      arguments.positional.size() <= 1, kInvalidArgument, "dict: at most one value is expected");
  Dict dict;
  if (!arguments.positional.empty()) add_entries(budget, arguments.positional[0], dict);
  for (const auto& [name, value] : arguments.named) dict.set(budget, name, value);
  return dict;
}

Value dict(Environment& environment, const Arguments& arguments) {
  return make_dict(environment.budget, make_entries(environment.budget, arguments));
}

Value make_namespace(Environment& environment, const Arguments& arguments) {
  environment.budget.touch(sizeof(Namespace));
  environment.namespaces.push_back(std::make_unique<Namespace>());
  Namespace* space = environment.namespaces.back().get();
  const Dict attributes = make_entries(environment.budget, arguments);
  for (const auto& [name, value] : attributes.entries()) {
    if (!name.is<Text>()) refuse_operand("namespace: a name", name);
    set_attribute(environment.budget, *space, *name.as<Text>(), value);
  }
  return space;
}

Value raise_exception(Environment& environment, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  constexpr size_t kMaxShown = 2000;
  const Text message = to_text(environment.budget, *bound[0]);
  fail(ErrorKind::kInvalidArgument, message.bytes().substr(0, message.byte_offset(kMaxShown)));
}

Value strftime_now(Environment& environment, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  return format_date(environment.budget, environment.now, bound.text(0));
}

constexpr Function kFunctions[] = {{"range", range},
                                   {"dict", dict},
                                   {"namespace", make_namespace},
                                   {"raise_exception", raise_exception},
                                   {"strftime_now", strftime_now}};

}  // namespace

void set_attribute(Budget& budget, Namespace& space, const Text& name, const Value& value) {
  PRECIS_CHECK(!name.bytes().starts_with('_'),
               kInvalidArgument,
               "namespace: the name '",
               shown(name.bytes()),
               "' begins with an underscore");
  space.attributes.set(budget, name, value);
}

std::span<const Function> functions() { return kFunctions; }

const Function* find_function(std::string_view name) { return find_row(functions(), name); }

}  // namespace precis::jinja
