// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

// One block per row. kPack divides half a head, and rows are aligned to it.
template <typename T, int kPack>
__device__ void rotary_row(const RotaryArguments& a) {
  const int64_t row = blockIdx.x, half = a.head_dim / 2;
  const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
  T* out = static_cast<T*>(a.out) + row * a.heads * a.head_dim;
  for (int64_t i = threadIdx.x * kPack; i < a.heads * half; i += blockDim.x * kPack) {
    const int64_t pair = i % half, first = i / half * a.head_dim + pair;
    float low[kPack], high[kPack], rotated_low[kPack], rotated_high[kPack];
    load<kPack>(x + first, low);
    load<kPack>(x + first + half, high);
#pragma unroll
    for (int k = 0; k < kPack; ++k) {
      const float cos = a.cos[row * half + pair + k], sin = a.sin[row * half + pair + k];
      rotated_low[k] = low[k] * cos - high[k] * sin;
      rotated_high[k] = high[k] * cos + low[k] * sin;
    }
    store<kPack>(out + first, rotated_low);
    store<kPack>(out + first + half, rotated_high);
  }
}

}  // namespace precis::kernels
