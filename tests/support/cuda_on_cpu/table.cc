// SPDX-License-Identifier: Apache-2.0
#include "support/cuda_on_cpu/table.h"

#include "kernels/cuda/launches.cuh"

namespace precis::cuda_on_cpu {

const kernels::CudaKernelTable& table() {
  static constexpr kernels::CudaKernelTable kTable =
      kernels::launches::table([]() -> const char* { return nullptr; });
  return kTable;
}

}  // namespace precis::cuda_on_cpu
