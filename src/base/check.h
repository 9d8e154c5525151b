// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>
#include <string>

#include "precis/error.h"

namespace precis {

// Joins its arguments as text: concat("keys have ", 8, " heads").
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <typename... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, concat(parts...));
}

}  // namespace precis

// PRECIS_CHECK(condition, kind, message...): throws precis::Error unless the condition holds. The
// message is the concatenation of its arguments, which are only evaluated on failure.
#define PRECIS_CHECK(condition, kind, ...)                                    \
  do {                                                                        \
    if (!(condition)) ::precis::fail(::precis::ErrorKind::kind, __VA_ARGS__); \
  } while (false)
