// SPDX-License-Identifier: Apache-2.0
#include "base/parallel.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace precis {
namespace {

class Parallel : public testing::Test {
 protected:
  void SetUp() override {
    threads_ = at::get_num_threads();
    at::set_num_threads(2);
  }
  void TearDown() override { at::set_num_threads(threads_); }

 private:
  int threads_ = 1;
};

TEST_F(Parallel, EveryIndexIsProcessedOnce) {
  for (const int64_t count : {0, 1, 7, 64, 1001}) {
    for (const int64_t grain : {1, 10, 5000}) {
      std::vector<std::atomic<int>> visits(count);
      for_ranges(count, grain, [&](int64_t first, int64_t last) {
        EXPECT_TRUE(last - first >= grain || last == count) << first << " to " << last;
        for (int64_t i = first; i < last; ++i) ++visits[i];
      });
      for (const auto& visit : visits) EXPECT_EQ(visit, 1) << count << " by " << grain;
    }
  }
}

// Each range waits until the other has begun, so that one thread alone would never finish.
TEST_F(Parallel, RangesRunConcurrently) {
  std::atomic<int> begun{0};
  std::atomic<bool> met{false};
  for_ranges(2, 1, [&](int64_t, int64_t) {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    if (++begun == 2) met = true;
    while (!met && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
  });
  EXPECT_TRUE(met);
}

TEST_F(Parallel, WithinAParallelRegionThereIsOneRange) {
  std::atomic<int> inner{0};
  for_ranges(2, 1, [&](int64_t, int64_t) {
    for_ranges(100, 1, [&](int64_t first, int64_t last) { inner += first == 0 && last == 100; });
  });
  EXPECT_EQ(inner, 2);
}

TEST_F(Parallel, ExceptionsAreRethrown) {
  EXPECT_THROW(for_ranges(100,
                          1,
                          [](int64_t, int64_t last) {
                            if (last == 100) throw std::runtime_error("no");
                          }),
               std::runtime_error);
}

// Each range reads what all members wrote in the phase before.
TEST_F(Parallel, ATeamRunsItsPhasesInOrder) {
  constexpr int64_t kCount = 100;
  std::vector<int64_t> numbers(kCount, 0);
  std::atomic<int> wrong{0}, members{0};
  run_team(8, [&](TeamMember& team) {
    ++members;
    for (int64_t round = 0; round < 200; ++round) {
      team.for_ranges(kCount, 1 + round % 60, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) numbers[i] += i + 1;
      });
      for (int64_t i = 0; i < kCount; ++i) wrong += numbers[i] != (round + 1) * (i + 1);
      team.for_ranges(0, 1, [](int64_t, int64_t) {});  // a barrier: all have read
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(members, 2);
}

TEST_F(Parallel, ATeamHasAtMostTheRequestedMembers) {
  std::atomic<int> members{0}, worked{0};
  run_team(1, [&](TeamMember& team) {
    ++members;
    team.for_ranges(7, 1, [&](int64_t first, int64_t last) { worked += last - first; });
  });
  EXPECT_EQ(members, 1);
  EXPECT_EQ(worked, 7);
}

TEST_F(Parallel, WithinAParallelRegionATeamIsOneThread) {
  std::atomic<int> members{0};
  for_ranges(2, 1, [&](int64_t, int64_t) { run_team(8, [&](TeamMember&) { ++members; }); });
  EXPECT_EQ(members, 2);
}

}  // namespace
}  // namespace precis
