// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/callables.h"

#include <algorithm>

#include "base/check.h"

namespace precis::jinja {

Bound::Bound(std::string_view callee,
             const Arguments& arguments,
             std::initializer_list<std::string_view> parameters,
             size_t num_required)
    : callee_(callee), values_(parameters.size(), nullptr) {
  PRECIS_CHECK(arguments.positional.size() <= parameters.size(),
               kInvalidArgument,
               callee,
               ": takes at most ",
               parameters.size(),
               " arguments, got ",
               arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& named : arguments.named) bind_named(named, parameters);
  for (size_t i = 0; i < num_required; ++i) {
    PRECIS_CHECK(
        values_[i], kInvalidArgument, callee, ": needs the argument ", parameters.begin()[i]);
  }
}

void Bound::bind_named(const std::pair<Text, Value>& named,
                       std::initializer_list<std::string_view> parameters) {
  const std::string_view name = named.first.bytes();
  const auto found = std::find(parameters.begin(), parameters.end(), name);
  PRECIS_CHECK(found != parameters.end(),
               kInvalidArgument,
               callee_,
               ": has no parameter called ",
               shorten(name));
  const Value*& slot = values_[static_cast<size_t>(found - parameters.begin())];
  PRECIS_CHECK(!slot, kInvalidArgument, callee_, ": the argument ", name, " is given twice");
  slot = &named.second;
}

const Text& Bound::text(size_t parameter) const {
  const Text* text = values_[parameter]->as<Text>();
  if (!text) refuse_operand(callee_, *values_[parameter]);
  return *text;
}

int64_t Bound::integer(size_t parameter, int64_t fallback) const {
  if (!values_[parameter]) return fallback;
  int64_t number = 0;
  if (!as_integer(*values_[parameter], number)) refuse_operand(callee_, *values_[parameter]);
  return number;
}

bool Bound::truth(size_t parameter, bool fallback) const {
  return values_[parameter] ? is_true(*values_[parameter]) : fallback;
}

bool Bound::is_given(size_t parameter) const {
  return values_[parameter] && !values_[parameter]->is<None>();
}

}  // namespace precis::jinja
