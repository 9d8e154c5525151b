// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

// A block a row. kPack divides the width and aligns the rows.
template <typename T, int kPack>
__device__ void rms_norm_row(const RmsNormArguments& a, WarpNumbers& numbers) {
  const int64_t begin = blockIdx.x * a.width;
  const T* x = static_cast<const T*>(a.x) + begin;
  T* out = static_cast<T*>(a.out) + begin;
  float values[kPack];
  float squares = 0;
  for (int64_t i = threadIdx.x * kPack; i < a.width; i += blockDim.x * kPack) {
    load<kPack>(x + i, values);
#pragma unroll
    for (int k = 0; k < kPack; ++k) squares += values[k] * values[k];
  }
  const float mean = sum_of_block(squares, numbers) / static_cast<float>(a.width);
  const float scale = rsqrtf(mean + a.epsilon);
  for (int64_t i = threadIdx.x * kPack; i < a.width; i += blockDim.x * kPack) {
    load<kPack>(x + i, values);
#pragma unroll
    for (int k = 0; k < kPack; ++k) values[k] *= scale * a.gain[i + k];
    store<kPack>(out + i, values);
  }
}

}  // namespace precis::kernels
