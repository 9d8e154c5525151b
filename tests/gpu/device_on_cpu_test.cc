// SPDX-License-Identifier: Apache-2.0
// The device that GPU tests use if there is no GPU: it refuses what a GPU refuses.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

namespace precis {
namespace {

TEST(DeviceOnCpu, KeepsValues) {
  const at::Tensor here = at::randn({7, 5});
  const at::Tensor there = here.to(at::kCUDA);
  ASSERT_TRUE(there.is_cuda());
  EXPECT_TRUE(there.cpu().equal(here));
  EXPECT_TRUE(there.t().narrow(0, 1, 3).cpu().equal(here.t().narrow(0, 1, 3)));
  at::Tensor part = there.narrow(0, 2, 2);
  part.mul_(3);
  EXPECT_TRUE(there[2].cpu().equal(here[2] * 3));
  EXPECT_TRUE(there[4].cpu().equal(here[4]));
}

TEST(DeviceOnCpu, NewMemoryIsNan) {
  EXPECT_TRUE(at::empty({9}, at::kCUDA).cpu().isnan().all().item<bool>());
}

TEST(DeviceOnCpu, RefusesTensorsOfTheCpuAmongItsOwn) {
  const at::Tensor x = at::ones({4, 3}, at::kCUDA), index = at::tensor({1, 2}, at::kLong);
  EXPECT_THROW(x.index_select(0, index), c10::Error);
  EXPECT_THROW(at::cat({x, at::ones({1, 3})}), c10::Error);
  EXPECT_THROW(x + at::ones({3}), c10::Error);
  EXPECT_NO_THROW(x + at::scalar_tensor(2.0));
  EXPECT_EQ(x.index_select(0, index.to(at::kCUDA)).size(0), 2);
}

TEST(DeviceOnCpu, RefusesAGeneratorOfTheCpu) {
  at::Tensor x = at::ones({4}, at::kCUDA);
  EXPECT_THROW(x.normal_(0, 1, at::make_generator<at::CPUGeneratorImpl>(1)), c10::Error);
}

TEST(DeviceOnCpuDeath, TheHostCannotReadItsMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const at::Tensor x = at::ones({4}, at::kCUDA);
        volatile float first = *x.const_data_ptr<float>();
        static_cast<void>(first);
      },
      "");
}

}  // namespace
}  // namespace precis
