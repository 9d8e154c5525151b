// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

__device__ inline float norm_scale(float squares, int64_t width, float epsilon) {
  return rsqrtf(squares / static_cast<float>(width) + epsilon);
}

// A row times its scale and the gains. A thread reads what it has read or written before.
template <int kPack, typename X, typename T>
__device__ void store_normed(const X* x, float scale, const float* gain, int64_t width, T* out) {
  float values[kPack];
  for (int64_t i = threadIdx.x * kPack; i < width; i += blockDim.x * kPack) {
    load<kPack>(x + i, values);
#pragma unroll
    for (int k = 0; k < kPack; ++k) values[k] *= scale * gain[i + k];
    store<kPack>(out + i, values);
  }
}

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
  const float scale = norm_scale(sum_of_block(squares, numbers), a.width, a.epsilon);
  store_normed<kPack>(x, scale, a.gain, a.width, out);
}

}  // namespace precis::kernels
