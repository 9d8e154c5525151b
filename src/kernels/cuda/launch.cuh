// SPDX-License-Identifier: Apache-2.0
// How kernels are started. Tests on the CPU have a header of this name in its place
// (tests/support/cuda_on_cpu).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda_kernels.h"

namespace precis::kernels {

// A kernel is a struct: Arguments; Shared, the shared memory of a block; kThreads, the largest
// number of threads of a block; and run(arguments, shared), the code of a thread.

// The launch bounds ask for one block per multiprocessor: without that bound the compiler spills
// registers to fit more blocks, which does not help memory-bound kernels with many loads in flight.
template <typename Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, 1) run_kernel(typename Kernel::Arguments a) {
  __shared__ typename Kernel::Shared shared;
  Kernel::run(a, shared);
}

// Blocks in x (`blocks`) and y (`across`), and threads of each.
struct Grid {
  int64_t blocks;
  int64_t threads;
  int64_t across = 1;
};

template <typename Kernel>
void launch(const Grid& grid, const typename Kernel::Arguments& arguments, Stream stream) {
  const dim3 blocks(static_cast<unsigned>(grid.blocks), static_cast<unsigned>(grid.across));
  run_kernel<Kernel>
      <<<blocks, static_cast<unsigned>(grid.threads), 0, static_cast<cudaStream_t>(stream)>>>(
          arguments);
}

}  // namespace precis::kernels
