// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kLinearThreads = 128;
// Outputs that a warp computes from one reading of x.
constexpr int kOutputsOfWarp = 2;
constexpr int kOutputsOfBlock = kLinearThreads / kWarpSize * kOutputsOfWarp;

// How a lane reads kNumbers neighbours of an output's row of the weight; their sum times
// scale(output) is the product.

struct Int8Weight {
  static constexpr int kNumbers = 16;

  __device__ static void read(const WeightOnlyLinearArguments& a,
                              int64_t output,
                              int64_t i,
                              float* out) {
    const auto codes =
        load<kNumbers>(static_cast<const int8_t*>(a.weight.codes) + output * a.weight.width + i);
#pragma unroll
    for (int k = 0; k < kNumbers; ++k) out[k] = static_cast<float>(codes.of[k]);
  }
  __device__ static float scale(const WeightOnlyLinearArguments& a, int64_t output) {
    return a.weight.scales[output];
  }
};

// A lane reads a group.
struct Int4Weight {
  static constexpr int kNumbers = kQuantizedGroup;

  __device__ static void read(const WeightOnlyLinearArguments& a,
                              int64_t output,
                              int64_t i,
                              float* out) {
    const int64_t group = (output * a.weight.width + i) / kQuantizedGroup;
    const auto codes =
        load<kNumbers / 2>(static_cast<const uint8_t*>(a.weight.codes) + group * kNumbers / 2);
    const float scale = __half2float(__ushort_as_half(a.weight.group_scales[group]));
    const float minimum = __half2float(__ushort_as_half(a.weight.group_minima[group]));
#pragma unroll
    for (int k = 0; k < kNumbers / 2; ++k) {
      out[k] = scale * static_cast<float>(codes.of[k] & 15) + minimum;
      out[k + kNumbers / 2] = scale * static_cast<float>(codes.of[k] >> 4) + minimum;
    }
  }
  __device__ static float scale(const WeightOnlyLinearArguments&, int64_t) { return 1; }
};

// A warp kOutputsOfWarp outputs of up to kRows rows: all of a weight is read once. x, bias and out:
// of T. Weight::kNumbers divides the width and aligns its rows, kPack the same of x.
template <typename T, typename Weight, int kPack, int kRows>
__device__ void weight_only_outputs(const WeightOnlyLinearArguments& a) {
  constexpr int kNumbers = Weight::kNumbers;
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kOutputsOfBlock + warp * kOutputsOfWarp;
  const T* x = static_cast<const T*>(a.x);
  float sums[kRows][kOutputsOfWarp] = {};
  for (int64_t i = lane * kNumbers; i < a.weight.width; i += kWarpSize * kNumbers) {
    float weights[kOutputsOfWarp][kNumbers];
#pragma unroll
    for (int output = 0; output < kOutputsOfWarp; ++output)
      if (first + output < a.outputs) Weight::read(a, first + output, i, weights[output]);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (row >= a.rows) break;
#pragma unroll
      for (int pack = 0; pack < kNumbers; pack += kPack) {
        float numbers[kPack];
        load<kPack>(x + row * a.weight.width + i + pack, numbers);
#pragma unroll
        for (int output = 0; output < kOutputsOfWarp; ++output) {
          if (first + output >= a.outputs) break;
#pragma unroll
          for (int k = 0; k < kPack; ++k)
            sums[row][output] += numbers[k] * weights[output][pack + k];
        }
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    if (row >= a.rows) break;
#pragma unroll
    for (int output = 0; output < kOutputsOfWarp; ++output) {
      if (first + output >= a.outputs) break;
      const float sum = sum_of_lanes(sums[row][output]) * Weight::scale(a, first + output);
      const T* bias = static_cast<const T*>(a.bias);
      if (lane == 0) {
        store(static_cast<T*>(a.out) + row * a.outputs + first + output,
              bias == nullptr ? sum : sum + to_float(bias[first + output]));
      }
    }
  }
}

}  // namespace precis::kernels
