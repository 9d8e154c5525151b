// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "support/expect_error.h"

namespace precis {
namespace {

TEST(Check, JoinsItsMessageAndKeepsItsKind) {
  expect_error(ErrorKind::kBadWeights, "keys have 8 heads, config says 4", [] {
    PRECIS_CHECK(false, kBadWeights, "keys have ", 8, " heads, config says ", 4);
  });
  EXPECT_NO_THROW(PRECIS_CHECK(true, kInternal, "never"));
}

TEST(Hash, DistinguishesSplitsOfTheSameText) {
  const auto hash = [](std::string_view a, std::string_view b) {
    Hasher hasher;
    hasher.add(a);
    hasher.add(b);
    return hasher.hex();
  };
  EXPECT_EQ(hash("ab", "c").size(), 32u);
  EXPECT_EQ(hash("ab", "c"), hash("ab", "c"));
  EXPECT_NE(hash("ab", "c"), hash("a", "bc"));
}

TEST(Log, CallsTheSinkIfThereIsOne) {
  std::vector<std::string> heard;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning) heard.emplace_back(message);
  });
  log(LogLevel::kWarning, "100 % {} sure");
  log(LogLevel::kDebug, "quiet");
  set_log_sink({});
  log(LogLevel::kWarning, "unheard");
  EXPECT_EQ(heard, (std::vector<std::string>{"100 % {} sure"}));
}

}  // namespace
}  // namespace precis
