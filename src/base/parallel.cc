// SPDX-License-Identifier: Apache-2.0
// Compiled with OpenMP: without it, at::parallel_for is a plain call.
#include "base/parallel.h"

#include <ATen/Parallel.h>
#include <hwy/cache_control.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

namespace precis {
namespace {

// More ranges than threads, so that a slow thread takes fewer of them.
constexpr int64_t kRangesPerThread = 4;

// Looks at what others have done before a waiting thread lets go of its core: some 50 us, longer
// than a range takes unless its thread is kept from running.
constexpr int kLooks = 1000;

int64_t range_size(int64_t count, int64_t grain, int64_t threads) {
  const int64_t wanted = threads * kRangesPerThread;
  return std::max(grain, (count + wanted - 1) / wanted);
}

}  // namespace

void detail::for_ranges(int64_t count,
                        int64_t grain,
                        void (*work)(const void* context, int64_t first, int64_t last),
                        const void* context) {
  if (count <= 0) return;
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  if (threads <= 1 || at::in_parallel_region()) return work(context, 0, count);
  const int64_t step = range_size(count, grain, threads);
  std::atomic<int64_t> next{0};
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) {
    for (int64_t first = next.fetch_add(step); first < count; first = next.fetch_add(step))
      work(context, first, std::min(count, first + step));
  });
}

int64_t TeamMember::range(int64_t count, int64_t grain) const {
  return range_size(count, grain, team_.threads_);
}

void Team::wait() {
  const int64_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    for (Taken& taken : taken_) taken.count.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  for (int looks = 0; round_.load(std::memory_order_acquire) == round; ++looks) {
    if (looks < kLooks)
      hwy::Pause();
    else
      std::this_thread::yield();
  }
}

void detail::run_team(void (*body)(const void* context, TeamMember& member), const void* context) {
  const int threads = at::get_num_threads();
  std::optional<Team> team;
  if (threads <= 1 || at::in_parallel_region()) {
    TeamMember alone(team.emplace(1), 0);
    return body(context, alone);
  }
#pragma omp parallel num_threads(threads)
  {
#pragma omp single
    team.emplace(omp_get_num_threads());
    TeamMember member(*team, omp_get_thread_num());
    body(context, member);
  }
}

}  // namespace precis
