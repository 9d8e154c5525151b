// SPDX-License-Identifier: Apache-2.0
// With CUDA compiled in but no GPU, this binary reports a single skipped test: hundreds would bury
// other skips.
#include <ATen/Context.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace precis {
namespace {

TEST(NoGpu, SoThatItsTestsAreSkipped) { GTEST_SKIP() << "no GPU"; }

}  // namespace
}  // namespace precis

int main(int count, char** arguments) {
  GTEST_FLAG_SET(filter, at::hasCUDA() ? "-NoGpu.*" : "NoGpu.*");
  testing::InitGoogleMock(&count, arguments);
  return RUN_ALL_TESTS();
}
