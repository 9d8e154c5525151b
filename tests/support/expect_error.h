// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "precis/error.h"

namespace precis {

// Runs `work` and expects a precis::Error of this kind whose message contains `message`.
template <typename Work>
void expect_error(ErrorKind kind, const std::string& message, const Work& work) {
  try {
    work();
    ADD_FAILURE() << "nothing was thrown, expected an error about: " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_THAT(error.what(), testing::HasSubstr(message));
  }
}

}  // namespace precis
