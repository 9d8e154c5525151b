// SPDX-License-Identifier: Apache-2.0
// In place of cuda/kernels_cuda.cu in a build without CUDA.
#include "kernels/cuda_kernels.h"

namespace precis::kernels {

const CudaKernelTable* cuda() { return nullptr; }

}  // namespace precis::kernels
