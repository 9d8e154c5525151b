// SPDX-License-Identifier: Apache-2.0
// The harness itself: what it computes, and that it finds the errors that it is built to find.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <vector>

#include "support/cuda_on_cpu/cuda_bf16.h"
#include "support/cuda_on_cpu/cuda_fp16.h"
#include "support/cuda_on_cpu/launch.h"

namespace precis::cuda_on_cpu {
namespace {

constexpr unsigned kAll = 0xffffffffu;

struct Nothing {};

struct Row {
  float numbers[256];
};

// A block of 100 threads reverses a row through shared memory.
std::vector<float> turned(uint64_t seed, bool with_barrier) {
  std::vector<float> out(100);
  launch<Row>({{1}, {100}, seed}, [&](Row& row) {
    row.numbers[threadIdx.x] = static_cast<float>(threadIdx.x);
    if (with_barrier) __syncthreads();
    out[threadIdx.x] = row.numbers[99 - threadIdx.x];
  });
  return out;
}

TEST(CudaOnCpu, ThreadsMeetAtTheBarrier) {
  std::vector<float> expected(100);
  std::iota(expected.rbegin(), expected.rend(), 0.0f);
  for (uint64_t seed = 0; seed < 5; ++seed) EXPECT_EQ(turned(seed, true), expected) << seed;
}

TEST(CudaOnCpu, MissingBarrierShows) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const std::vector<float> out = turned(seed, false);
    EXPECT_TRUE(std::any_of(out.begin(), out.end(), [](float x) { return std::isnan(x); })) << seed;
  }
}

// A missing barrier before shared memory is reused: some threads still read it.
TEST(CudaOnCpu, MissingSecondBarrierShows) {
  const auto sums = [](bool with_barrier) {
    std::vector<float> out(64, 0.0f);
    launch<Row>({{1}, {64}, 1}, [&](Row& row) {
      for (unsigned round = 0; round < 4; ++round) {
        if (threadIdx.x == 0) row.numbers[0] = static_cast<float>(1 << round);
        __syncthreads();
        out[threadIdx.x] += row.numbers[0];
        if (with_barrier) __syncthreads();
      }
    });
    return out;
  };
  EXPECT_THAT(sums(true), testing::Each(15.0f));
  EXPECT_THAT(sums(false), testing::Contains(testing::Ne(15.0f)));
}

TEST(CudaOnCpu, EveryThreadOfEveryBlockRunsOnce) {
  std::multiset<unsigned> seen;
  run(
      {{3, 2, 2}, {5, 2, 2}},
      [] {},
      [&] {
        const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        seen.insert(block * 20 + thread);
      });
  ASSERT_EQ(seen.size(), 240u);
  EXPECT_EQ(std::set<unsigned>(seen.begin(), seen.end()).size(), 240u);
  EXPECT_EQ(*seen.rbegin(), 239u);
}

TEST(CudaOnCpu, ShufflesReadTheirLanes) {
  std::vector<int> to_first(64), exchanged(64), down(64), up(64);
  run(
      {{1}, {64}},
      [] {},
      [&] {
        const unsigned i = threadIdx.x;
        const int own = static_cast<int>(i);
        to_first[i] = __shfl_sync(kAll, own, 5);
        exchanged[i] = __shfl_xor_sync(kAll, own, 3);
        down[i] = __shfl_down_sync(kAll, own, 4);
        up[i] = __shfl_up_sync(kAll, own, 4);
      });
  for (int i = 0; i < 64; ++i) {
    const int lane = i % 32;
    EXPECT_EQ(to_first[i], i - lane + 5);
    EXPECT_EQ(exchanged[i], i ^ 3);
    EXPECT_EQ(down[i], lane < 28 ? i + 4 : i);
    EXPECT_EQ(up[i], lane >= 4 ? i - 4 : i);
  }
}

// The lanes of two masks run different code.
TEST(CudaOnCpu, HalvesOfAWarpShuffleIndependently) {
  std::vector<double> out(32);
  run(
      {{1}, {32}},
      [] {},
      [&] {
        const bool low = threadIdx.x < 16;
        double sum = threadIdx.x;
        for (int bits = low ? 8 : 4; bits > 0; bits /= 2)
          sum += __shfl_xor_sync(low ? 0xffffu : 0xffff0000u, sum, bits);
        out[threadIdx.x] = sum;
      });
  EXPECT_EQ(out[3], 120);
  EXPECT_EQ(out[20], 16 + 17 + 18 + 19 + 20 + 21 + 22 + 23);
}

TEST(CudaOnCpu, VotesAndCounts) {
  run(
      {{1}, {64}},
      [] {},
      [&] {
        const bool odd = threadIdx.x % 2 == 1;
        EXPECT_EQ(__ballot_sync(kAll, odd), 0xaaaaaaaau);
        EXPECT_TRUE(__any_sync(kAll, odd));
        EXPECT_FALSE(__all_sync(kAll, odd));
        EXPECT_EQ(__syncthreads_count(threadIdx.x < 7), 7);
        EXPECT_TRUE(__syncthreads_or(threadIdx.x == 63));
        EXPECT_FALSE(__syncthreads_or(0));
      });
}

TEST(CudaOnCpu, AtomicsReturnTheOldValue) {
  int sum = 0, largest = -1;
  run(
      {{4}, {50}},
      [] {},
      [&] {
        atomicAdd(&sum, 2);
        atomicMax(&largest, static_cast<int>(threadIdx.x));
      });
  EXPECT_EQ(sum, 400);
  EXPECT_EQ(largest, 49);
}

void expect_stuck(const Grid& grid, const std::function<void()>& thread, const std::string& what) {
  try {
    run(
        grid, [] {}, thread);
    ADD_FAILURE() << "no error, expected one with: " << what;
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(what));
  }
}

TEST(CudaOnCpu, DeadlockIsAnError) {
  expect_stuck(
      {{1}, {64}},
      [] {
        if (threadIdx.x != 9) __syncthreads();
      },
      "63 at __syncthreads, 1 have ended");
  expect_stuck(
      {{1}, {32}},
      [] {
        if (threadIdx.x != 9) __shfl_sync(kAll, 1, 0);
      },
      "in __shfl_sync");
  expect_stuck(
      {{1}, {32}}, [] { __shfl_sync(1u, 1, 0); }, "own lane is not in the mask");
  expect_stuck(
      {{1}, {2}}, [] { __shfl_sync(3u, 1, 2); }, "reads a lane that is not in the mask");
  expect_stuck(
      {{1}, {32}},
      [] { threadIdx.x == 0 ? __shfl_sync(kAll, 1, 0) : __shfl_xor_sync(kAll, 1, 1); },
      "other lanes of the mask are in");
}

TEST(CudaOnCpu, ExceptionOfAThreadIsThrown) {
  EXPECT_THROW(run(
                   {{2}, {40}},
                   [] {},
                   [] {
                     if (threadIdx.x == 5) throw std::out_of_range("five");
                     __syncthreads();
                   }),
               std::out_of_range);
}

TEST(CudaOnCpu, BFloat16RoundsToTheNearest) {
  const auto round = [](float x) { return __bfloat162float(__float2bfloat16_rn(x)); };
  EXPECT_EQ(round(1.0f), 1.0f);
  EXPECT_EQ(round(1.00390625f), 1.0f);       // tie: to even
  EXPECT_EQ(round(1.01171875f), 1.015625f);  // tie: to even, upwards
  EXPECT_EQ(round(1.004f), 1.0078125f);
  EXPECT_EQ(round(-INFINITY), -INFINITY);
  EXPECT_TRUE(std::isnan(round(NAN)));
  EXPECT_EQ(__half2float(__ushort_as_half(0x3e00)), 1.5f);
  EXPECT_EQ(__half2float(__ushort_as_half(0x0001)), 0x1p-24f);
}

}  // namespace
}  // namespace precis::cuda_on_cpu
