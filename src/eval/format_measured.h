// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "eval/measured.h"

// Numbers as text, for tables and sentences.
namespace precis {

std::string number(double value);                          // four digits, "12.5"
std::string with_interval(const Measured& measured);       // "12.5 [11, 14]"
std::string percent(double share);                         // "88 %"
std::string percent_with_interval(const Measured& share);  // "88 % [81, 94]"

}  // namespace precis
