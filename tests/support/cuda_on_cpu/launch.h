// SPDX-License-Identifier: Apache-2.0
// Runs device code on the CPU, so that a kernel's logic is tested where there is no GPU: the
// threads of a block are fibers, which take turns in an order that the seed decides. They change at
// barriers and warp operations only: what should be atomic and is not, and blocks that disturb each
// other, do not show.
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

// What all launches of a program are tried with, to see whether tests notice.
struct Trial {
  uint64_t seed = 0;                // added to that of each launch
  std::optional<Barrier> left_out;  // where no thread waits
  std::set<Barrier> met;            // what threads came to, in the end
};
Trial& trial();

// Runs `thread` once for each thread; `enter_block` first for each block. Throws std::logic_error
// where threads wait for others that will never come: at __syncthreads, when some have ended; in a
// shuffle or vote, when lanes of its mask are elsewhere.
void run(const Grid& grid,
         const std::function<void()>& enter_block,
         const std::function<void()>& thread);

// What every run happens inside of, in a program that has more of a device than kernels; null:
// nothing.
using AroundLaunches = void (*)(const std::function<void()>& launch);
AroundLaunches& around_launches();

// The same of a kernel whose blocks share a `Shared`. It is new for each block and full of bits
// that are no numbers, so that what a kernel reads before it has written it shows.
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
