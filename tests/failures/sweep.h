// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "failures/fail_at.h"
#include "io/translate_errors.h"

namespace precis::failures {

constexpr int64_t kFirstErrors = 8;

// The error that `work` ends with while the n-th call into `layer` fails, if it ends with one.
template <typename Work>
std::optional<Error> error_of(Layer layer, int64_t n, const Work& work) {
  std::optional<Error> caught;
  fail_at(layer, n);
  try {
    translate_errors(work);
  } catch (const Error& error) {
    caught = error;
  }
  return caught;
}

// Does `work` again and again, each time with another call into `layer` that fails, until it ends
// before that call: every time it ends well or with an error that is no defect of Precis, `check`
// finds all in order, and nothing stays allocated. The first calls one by one, later ones at
// distances that grow.
template <typename Work, typename Check>
void sweep(Layer layer, const Work& work, const Check& check) {
  work();  // what is made once and kept
  int64_t before = blocks_alive();
  int64_t runs = 0, errors = 0, leaking = 0;
  for (int64_t n = 1;; n += 1 + n / 8, ++runs) {
    const std::optional<Error> error = error_of(layer, n, work);
    const bool reached = stop_failing();
    const std::string said = error ? error->what() : "";
    if (layer == Layer::kFiles) {
      EXPECT_TRUE(!error || error->kind() != ErrorKind::kInternal) << "call " << n << ": " << said;
    } else {
      EXPECT_TRUE(!error || error->kind() == ErrorKind::kOutOfMemory)
          << "call " << n << ": " << said;
    }
    check();
    errors += error ? 1 : 0;
    // The first errors make what libtorch keeps for the next.
    if (error && errors > kFirstErrors && blocks_alive() > before) ++leaking;
    before = blocks_alive();
    if (!reached) {
      EXPECT_FALSE(error) << "without a failure: " << said;
      break;
    }
    if (testing::Test::HasFailure()) return;  // the rest would say the same
  }
  EXPECT_GT(runs, 0) << "nothing calls this layer";
  EXPECT_GT(errors, 0) << "nothing was made to fail";
  // A leak would leave blocks behind most errors. Two or three of fifty in training leave some,
  // where has not been found.
  EXPECT_LE(leaking, 1 + errors / 8);
}

// What unfinished work would leave behind.
inline void expect_no_drafts(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory)) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory))
    EXPECT_NE(entry.path().extension(), ".part") << entry.path();
}

}  // namespace precis::failures
