// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

__device__ inline float norm_scale(float squares, int64_t width, float epsilon) {
  return rsqrtf(squares / static_cast<float>(width) + epsilon);
}

// out = x * scale * weight. A thread reads only elements of x that it has itself read or written
// before, so there is no barrier.
template <int kPack, typename X, typename T>
__device__ void store_normed(const X* x, float scale, const float* weight, int64_t width, T* out) {
  float values[kPack];
  for (int64_t i = threadIdx.x * kPack; i < width; i += blockDim.x * kPack) {
    load<kPack>(x + i, values);
#pragma unroll
    for (int k = 0; k < kPack; ++k) values[k] *= scale * weight[i + k];
    store<kPack>(out + i, values);
  }
}

// One block per row. kPack divides the width, and rows are aligned to it.
template <typename T, int kPack>
__device__ void rms_norm_row(const RmsNormArguments& a, WarpValues& per_warp) {
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
  const float scale = norm_scale(sum_of_block(squares, per_warp), a.width, a.epsilon);
  store_normed<kPack>(x, scale, a.weight, a.width, out);
}

}  // namespace precis::kernels
