// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda_kernels.h"

namespace precis::cuda_on_cpu {

// The GPU kernels, run by the harness at launch on CPU tensors; streams are ignored. Grids are
// chosen by the same code as on a GPU.
const kernels::CudaKernelTable& table();

}  // namespace precis::cuda_on_cpu
