// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace precis::fuzz {

// Where the child says what it is about to run, in memory that it shares with its parent: whatever
// ends the child, the parent has the input.
struct CurrentInput {
  std::atomic<uint64_t> run{0};  // from 1; 0: none was begun
  std::atomic<uint64_t> size{0};

  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }  // room for the largest input
};

struct Limits {
  double seconds = 0;  // of processor time for one input
  uint64_t bytes = 0;  // resident, of the process
};

// Runs `work` in a child process and waits for it. Returns what went wrong ("signal 6 (Aborted)",
// "took more than 20 s"), empty if the child ended with exit code 0.
std::string run_watched(const Limits& limits,
                        CurrentInput& current,
                        const std::function<void()>& work);

// Memory that lasts as long as the process.
CurrentInput& shared_input(size_t max_size);

}  // namespace precis::fuzz
