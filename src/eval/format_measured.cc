// SPDX-License-Identifier: Apache-2.0
#include "eval/format_measured.h"

#include <cmath>
#include <cstdio>

namespace precis {
namespace {

// "+ 0.0" makes -0 a 0.
std::string whole_percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", std::round(100 * share) + 0.0);
  return text;
}

std::string in_brackets(const std::string& low, const std::string& high) {
  return " [" + low + ", " + high + "]";
}

}  // namespace

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, std::abs(value) < 1000 ? "%.4g" : "%.0f", value);
  return text;
}

std::string with_interval(const Measured& measured) {
  return number(measured.value) +
         in_brackets(number(measured.interval.low), number(measured.interval.high));
}

std::string percent(double share) { return whole_percent(share) + " %"; }

std::string percent_with_interval(const Measured& share) {
  return percent(share.value) +
         in_brackets(whole_percent(share.interval.low), whole_percent(share.interval.high));
}

}  // namespace precis
