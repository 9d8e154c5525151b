// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>

#include "precis/error.h"

namespace precis::fuzz {

// Ends the process, which is how a target says that it has found something.
[[noreturn]] inline void report(const char* what) {
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

inline void require(bool condition, const char* what) {
  if (!condition) report(what);
}

// Runs `work` on an input that may be anything: it ends well or with a precis::Error, which must
// not be a defect of Precis. Whatever else is thrown goes through, and ends the process.
template <typename Work>
void expect_result_or_error(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) report(error.what());
  }
}

}  // namespace precis::fuzz
