// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

// One block per row. kPack divides the width, and all rows are aligned to it.
template <typename T, int kPack>
__device__ void gather_row(const GatherRowsArguments& a) {
  const int64_t row = blockIdx.x, index = a.indices[row];
  const T* from = index < a.num_first
                      ? static_cast<const T*>(a.first) + index * a.width
                      : static_cast<const T*>(a.second) + (index - a.num_first) * a.width;
  T* to = static_cast<T*>(a.out) + row * a.width;
  for (int64_t i = threadIdx.x * kPack; i < a.width; i += blockDim.x * kPack)
    *reinterpret_cast<Pack<T, kPack>*>(to + i) = load<kPack>(from + i);
}

}  // namespace precis::kernels
