// SPDX-License-Identifier: Apache-2.0
// Runs device code on the CPU, so that a kernel's logic is tested without a GPU. The threads of a
// block are fibers, scheduled in an order that the seed decides. They switch only at barriers and
// warp operations: missing atomics and races between blocks are not found.
#pragma once

#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "support/cuda_on_cpu/cuda_runtime.h"

namespace precis::cuda_on_cpu {

struct Grid {
  dim3 blocks;
  dim3 threads;
  uint64_t seed = 1;  // of the order in which blocks, and threads between two barriers, run
};

// A call of __syncthreads in device code.
struct Barrier {
  std::string file;
  unsigned line = 0;

  auto operator<=>(const Barrier&) const = default;
};

// Changes to all launches of a program, to check that tests detect them.
struct Trial {
  uint64_t seed = 0;                // added to that of each launch
  std::optional<Barrier> left_out;  // threads do not wait at this barrier
  std::set<Barrier> met;            // all barriers that threads reached
};
Trial& trial();

// Runs `thread` once for each thread, `enter_block` once before each block. Throws std::logic_error
// on deadlock: at __syncthreads when some threads have ended, in a shuffle or vote when lanes of
// its mask never reach it.
void run(const Grid& grid,
         const std::function<void()>& enter_block,
         const std::function<void()>& thread);

// Called around every run, by programs that emulate a whole device; null: run directly.
using AroundLaunches = void (*)(const std::function<void()>& launch);
AroundLaunches& around_launches();

// Runs a kernel with shared memory of type `Shared`, filled with NaNs for each block, so that a
// read before the first write shows.
template <typename Shared, typename Kernel>
void launch(const Grid& grid, const Kernel& kernel) {
  static_assert(std::is_trivially_copyable_v<Shared>);
  std::unique_ptr<Shared> shared;
  run(
      grid,
      [&] {
        shared = std::make_unique_for_overwrite<Shared>();
        std::memset(static_cast<void*>(shared.get()), 0xff, sizeof(Shared));
      },
      [&] { kernel(*shared); });
}

}  // namespace precis::cuda_on_cpu
