// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "chat/jinja/callables.h"
#include "chat/jinja/value.h"

// Python's operators on values: arithmetic, "in", attributes, subscripts and slices.
namespace precis::jinja {

enum class Arithmetic { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };

std::span<const std::string_view> arithmetic_symbols();  // in the order of Arithmetic
Value calculate(Budget& budget, Arithmetic operation, const Value& left, const Value& right);
Value negate(const Value& value);
bool contains(Budget& budget, const Value& container, const Value& item);

// object.name and object[key]. The former looks for methods first, the latter for entries.
Value attribute(Budget& budget, const Value& object, std::string_view name);
Value subscript(Budget& budget, const Value& object, const Value& key);
// object[start:stop:step]; null for a bound that is left out.
Value slice(
    Budget& budget, const Value& object, const Value* start, const Value* stop, const Value* step);

}  // namespace precis::jinja
