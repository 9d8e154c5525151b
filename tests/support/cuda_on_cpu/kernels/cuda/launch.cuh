// SPDX-License-Identifier: Apache-2.0
// Replaces src/kernels/cuda/launch.cuh: runs kernels in the harness, synchronously.
#pragma once

#include <stdexcept>

#include "kernels/cuda_kernels.h"
#include "support/cuda_on_cpu/launch.h"

namespace precis::kernels {

struct Grid {
  int64_t blocks;
  int64_t threads;
  int64_t across = 1;
};

template <typename Kernel>
void launch(const Grid& grid, const typename Kernel::Arguments& arguments, Stream) {
  // The limits of a GPU.
  if (grid.blocks < 1 || grid.across < 1 || grid.across > 65535 || grid.threads < 1 ||
      grid.threads > Kernel::kThreads)
    throw std::logic_error("a grid that cannot be launched");
  const auto count = [](int64_t n) { return static_cast<unsigned>(n); };
  const cuda_on_cpu::Grid own{{count(grid.blocks), count(grid.across)},
                              {count(grid.threads)},
                              static_cast<uint64_t>(grid.blocks + grid.threads)};
  cuda_on_cpu::launch<typename Kernel::Shared>(
      own, [&](typename Kernel::Shared& shared) { Kernel::run(arguments, shared); });
}

}  // namespace precis::kernels
