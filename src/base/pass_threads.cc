// SPDX-License-Identifier: Apache-2.0
#include "base/pass_threads.h"

#include <time.h>

#include <algorithm>

#include "base/parallel.h"

namespace precis {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kShortest = milliseconds(3);  // of what is measured
constexpr double kBusy = 0.8;                       // of the time, running: less is contended
constexpr nanoseconds kFirstWait = milliseconds(100), kLongestWait = milliseconds(3200);

// What the thread's passes have found out. Another thread's may run on other cores.
struct Contention {
  int64_t most = 0;     // threads of the PassThreads that is alive; 0: none is
  int64_t threads = 0;  // used at most; 0: as many as the caller has
  nanoseconds wait = kFirstWait;
  std::chrono::steady_clock::time_point try_more{};
};

Contention& contention() {
  thread_local Contention of_thread;
  return of_thread;
}

// How long the calling thread has been running, waiting in a loop included.
nanoseconds time_running() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// As many of `most` as the thread uses now.
int64_t limited(int64_t most) {
  const int64_t limit = contention().threads;
  return limit > 0 ? std::min(limit, most) : most;
}

}  // namespace

PassThreads::PassThreads() : outer_(contention().most), most_(num_threads()) {
  // Where the outer one has reduced the number, the caller's is what the outer one began with.
  if (outer_ > 0 && most_ == limited(outer_)) most_ = outer_;
  contention().most = most_;
  set_num_threads(limited(most_));
  start_measuring();
}

PassThreads::~PassThreads() {
  contention().most = outer_;
  if (outer_ == 0) set_num_threads(most_);
}

void PassThreads::start_measuring() {
  wall_ = Clock::now();
  running_ = time_running();
}

void PassThreads::adapt() {
  if (most_ == 1) return;
  const Clock::time_point now = Clock::now();
  const nanoseconds elapsed = now - wall_;
  if (elapsed < kShortest) return;
  Contention& state = contention();
  const int64_t threads = num_threads();
  const double running = static_cast<double>((time_running() - running_).count()) /
                         static_cast<double>(elapsed.count());
  if (threads > 1 && running < kBusy) {
    state.threads = threads / 2;
    state.try_more = now + state.wait;
    state.wait = std::min(2 * state.wait, kLongestWait);
  } else if (threads < most_ && now >= state.try_more) {
    state.threads = std::min(2 * threads, most_);
  } else if (threads == most_) {
    state.threads = 0;
    state.wait = std::max(state.wait / 2, kFirstWait);
  }
  set_num_threads(limited(most_));
  start_measuring();
}

}  // namespace precis
