// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/cuda/rms_norm.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

struct AddRmsNormShared {
  WarpValues of_change;
  WarpValues of_row;
};

// Scale of the change's norm, in all threads of the block.
template <typename T, int kPack>
__device__ float change_scale(const AddRmsNormArguments& a, const T* change, WarpValues& per_warp) {
  float values[kPack], squares = 0;
  for (int64_t i = threadIdx.x * kPack; i < a.width; i += blockDim.x * kPack) {
    load<kPack>(change + i, values);
#pragma unroll
    for (int k = 0; k < kPack; ++k) squares += values[k] * values[k];
  }
  return norm_scale(sum_of_block(squares, per_warp), a.width, a.epsilon);
}

// One block per row. kPack divides the width, and rows are aligned to it.
template <typename T, int kPack>
__device__ void add_rms_norm_row(const AddRmsNormArguments& a, AddRmsNormShared& shared) {
  const int64_t begin = blockIdx.x * a.width;
  float* x = a.x + begin;
  const T* change = a.change == nullptr ? nullptr : static_cast<const T*>(a.change) + begin;
  const bool normed = change != nullptr && a.change_norm_weight != nullptr;
  const float scale_of_change = normed ? change_scale<T, kPack>(a, change, shared.of_change) : 1;
  float values[kPack], added[kPack], squares = 0;
  for (int64_t i = threadIdx.x * kPack; i < a.width; i += blockDim.x * kPack) {
    load<kPack>(x + i, values);
    if (change != nullptr) {
      load<kPack>(change + i, added);
#pragma unroll
      for (int k = 0; k < kPack; ++k)
        values[k] += normed ? added[k] * scale_of_change * a.change_norm_weight[i + k] : added[k];
      store<kPack>(x + i, values);
    }
#pragma unroll
    for (int k = 0; k < kPack; ++k) squares += values[k] * values[k];
  }
  const float scale = norm_scale(sum_of_block(squares, shared.of_row), a.width, a.epsilon);
  store_normed<kPack>(x, scale, a.norm_weight, a.width, static_cast<T*>(a.out) + begin);
}

}  // namespace precis::kernels
