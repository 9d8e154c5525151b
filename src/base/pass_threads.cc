// SPDX-License-Identifier: Apache-2.0
#include "base/pass_threads.h"

#include <time.h>

#include <algorithm>

#include "base/parallel.h"

namespace precis {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr nanoseconds kShortest = milliseconds(3);  // shortest interval that is measured
constexpr double kBusy = 0.8;                       // running for less of the time is contention
constexpr nanoseconds kFirstWait = milliseconds(100), kLongestWait = milliseconds(3200);

// Measurements of the thread's passes. Thread-local, since other threads may run on other cores.
struct Contention {
  int64_t most = 0;     // most_ of the innermost living PassThreads; 0: there is none
  int64_t threads = 0;  // limit because of contention; 0: no limit
  nanoseconds wait = kFirstWait;
  std::chrono::steady_clock::time_point try_more{};
};

Contention& contention() {
  thread_local Contention of_thread;
  return of_thread;
}

// CPU time of the calling thread, spinning included.
nanoseconds time_running() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

// `most`, or the limit because of contention if that is less.
int64_t limited(int64_t most) {
  const int64_t limit = contention().threads;
  return limit > 0 ? std::min(limit, most) : most;
}

}  // namespace

PassThreads::PassThreads() : outer_(contention().most), most_(num_threads()) {
  // If the outer one has reduced the number, most_ is the number that the outer one started with.
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
