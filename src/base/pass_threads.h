// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>

namespace precis {

// How many threads are used while one is alive: as many as the calling thread has (parallel.h), or
// fewer where other programs keep the cores busy. Threads meet after every product, so that all of
// them wait for one that the system does not run: two threads beside two busy loops on two cores
// are slower than one. A pass over many layers measures how much of its time its own thread was
// running. Where that is too little, it goes on with half as many threads, and tries twice as many
// again after a while: 100 ms, each time longer that this was too early. What is computed between
// passes keeps to their number where another PassThreads is alive around them.
class PassThreads {
 public:
  PassThreads();
  PassThreads(const PassThreads&) = delete;
  PassThreads& operator=(const PassThreads&) = delete;
  ~PassThreads();

  // To be called after a layer or a decoding step, on the same thread: measures the time since the
  // last call, or the construction, and changes the number of threads.
  void adapt();

 private:
  using Clock = std::chrono::steady_clock;

  void start_measuring();

  int64_t outer_;  // the number of the one around this one; 0: there is none
  int64_t most_;   // the caller's
  Clock::time_point wall_;
  std::chrono::nanoseconds running_{};
};

}  // namespace precis
