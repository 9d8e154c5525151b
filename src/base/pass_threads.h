// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace precis {

// Sets the number of threads for its lifetime: num_threads() of the calling thread (parallel.h), or
// fewer if other programs keep the cores busy. Threads synchronise after every matrix product, so
// that all of them wait for one that the system does not schedule: two threads beside two busy
// loops on two cores are slower than one. adapt() measures the share of time that the calling
// thread was running. If it is too small, the number of threads is halved; it is doubled again
// after 100 ms, or twice as long each time that this was too early. Computation between passes uses
// the passes' number of threads if an outer PassThreads encloses them.
class PassThreads {
 public:
  PassThreads();
  PassThreads(const PassThreads&) = delete;
  PassThreads& operator=(const PassThreads&) = delete;
  ~PassThreads();

  // Measures the time since the last call, or the construction, and changes the number of threads.
  // Call it after a layer or a decode step, on the constructing thread.
  void adapt();

 private:
  using Clock = std::chrono::steady_clock;

  void start_measuring();

  int64_t outer_;  // most_ of the enclosing PassThreads; 0: there is none
  int64_t most_;   // number of threads of the caller
  Clock::time_point wall_;
  std::chrono::nanoseconds running_{};
};

}  // namespace precis
