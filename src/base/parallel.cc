// SPDX-License-Identifier: Apache-2.0
// Compiled with OpenMP: without it, at::parallel_for runs on one thread.
#include "base/parallel.h"

#include <ATen/Parallel.h>
#include <hwy/cache_control.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace precis {
namespace {

// More ranges than threads, so that a slow thread takes fewer ranges.
constexpr int64_t kRangesPerThread = 4;

// Spins and yields of a member at a barrier before it sleeps: phases take microseconds, unless the
// system does not schedule a member.
constexpr int kSpins = 1000, kYields = 100;

int64_t range_size(int64_t count, int64_t grain, int64_t threads) {
  const int64_t wanted = threads * kRangesPerThread;
  return std::max(grain, (count + wanted - 1) / wanted);
}

}  // namespace

int64_t num_threads() { return at::get_num_threads(); }

void set_num_threads(int64_t threads) {
  at::get_num_threads();  // sets the initial number on its first call
  omp_set_num_threads(static_cast<int>(threads));
}

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

void Team::barrier() {
  const int phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  for (int i = 0; i < kSpins + kYields; ++i) {
    if (phase_.load(std::memory_order_acquire) != phase) return;
    if (i < kSpins)
      hwy::Pause();
    else
      std::this_thread::yield();
  }
  phase_.wait(phase, std::memory_order_acquire);
}

void detail::run_team(int64_t most,
                      void (*body)(const void* context, TeamMember& member),
                      const void* context) {
  const int64_t threads =
      at::in_parallel_region()
          ? 1
          : std::clamp<int64_t>(most, 1, std::max<int64_t>(1, at::get_num_threads()));
  Team team(threads);
  if (threads == 1) {
    TeamMember alone(team, 0);
    return body(context, alone);
  }
#pragma omp parallel num_threads(static_cast <int>(threads))
  {
#pragma omp single
    team.threads_ = omp_get_num_threads();  // may be fewer than requested
    TeamMember member(team, omp_get_thread_num());
    body(context, member);
  }
}

}  // namespace precis
