// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda_kernels.h"

namespace precis::cuda_on_cpu {

// The GPU's kernels, run in the harness where they are launched: over tensors of the CPU, whatever
// the stream. Grids are chosen by the code that chooses them on a GPU.
const kernels::CudaKernelTable& table();

}  // namespace precis::cuda_on_cpu
