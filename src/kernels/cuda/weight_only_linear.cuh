// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_fp16.h>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kLinearThreads = 128;
// Outputs that a warp computes from one load of x.
constexpr int kOutputsOfWarp = 2;
constexpr int kOutputsOfBlock = kLinearThreads / kWarpSize * kOutputsOfWarp;

// Values of an output's weights that a lane reads at a time.
constexpr int kValuesPerRead = 8;

// Weight formats. What a lane reads at a time are kRuns runs of neighbouring columns; the next lane
// reads the next run, so that a warp's loads of x are coalesced. The sum of products times
// scale(output) is the output.

struct Int8Weight {
  static constexpr int kRuns = 1;

  __device__ static int64_t column(int64_t unit, int) { return unit * kValuesPerRead; }
  __device__ static void read(const QuantizedMatrix& w, int64_t output, int64_t unit, float* out) {
    const auto codes = load<kValuesPerRead>(static_cast<const int8_t*>(w.codes) + output * w.width +
                                            unit * kValuesPerRead);
#pragma unroll
    for (int k = 0; k < kValuesPerRead; ++k) out[k] = static_cast<float>(codes.of[k]);
  }
  __device__ static float scale(const QuantizedMatrix& w, int64_t output) {
    return w.scales[output];
  }
};

// A read is four bytes of a group: four codes of its first half and four of its second.
struct Int4Weight {
  static constexpr int kRuns = 2;
  static constexpr int kUnits = kQuantizedGroup / kValuesPerRead;  // of a group

  __device__ static int64_t column(int64_t unit, int run) {
    return unit / kUnits * kQuantizedGroup + unit % kUnits * (kValuesPerRead / 2) +
           run * (kQuantizedGroup / 2);
  }
  __device__ static void read(const QuantizedMatrix& w, int64_t output, int64_t unit, float* out) {
    const int64_t own = output * (w.width / kValuesPerRead) + unit, group = own / kUnits;
    const auto codes =
        load<kValuesPerRead / 2>(static_cast<const uint8_t*>(w.codes) + own * (kValuesPerRead / 2));
    const float scale = __half2float(__ushort_as_half(w.group_scales[group]));
    const float minimum = __half2float(__ushort_as_half(w.group_mins[group]));
#pragma unroll
    for (int k = 0; k < kValuesPerRead / 2; ++k) {
      out[k] = scale * static_cast<float>(codes.of[k] & 15) + minimum;
      out[k + kValuesPerRead / 2] = scale * static_cast<float>(codes.of[k] >> 4) + minimum;
    }
  }
  __device__ static float scale(const QuantizedMatrix&, int64_t) { return 1; }
};

// Each warp computes kOutputsOfWarp outputs of up to kRows rows, so that all of a weight is read
// once. x, bias and out are of T. kPack: elements of x that one instruction loads, if a run has as
// many.
template <typename T, typename Weight, int kPack, int kRows>
__device__ void weight_only_outputs(const WeightOnlyLinearArguments& a) {
  constexpr int kRun = kValuesPerRead / Weight::kRuns, kRead = kPack < kRun ? kPack : kRun;
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kOutputsOfBlock + warp * kOutputsOfWarp;
  const T* x = static_cast<const T*>(a.x);
  float sums[kRows][kOutputsOfWarp] = {};
#pragma unroll(kRows > 8 ? 1 : 2)
  for (int64_t unit = lane; unit < a.weight.width / kValuesPerRead; unit += kWarpSize) {
    float weights[kOutputsOfWarp][kValuesPerRead];
#pragma unroll
    for (int output = 0; output < kOutputsOfWarp; ++output)
      if (first + output < a.outputs) Weight::read(a.weight, first + output, unit, weights[output]);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (row >= a.rows) break;
      float inputs[kValuesPerRead];
#pragma unroll
      for (int k = 0; k < kValuesPerRead; k += kRead)
        load<kRead>(x + row * a.weight.width + Weight::column(unit, k / kRun) + k % kRun,
                    inputs + k);
#pragma unroll
      for (int output = 0; output < kOutputsOfWarp; ++output) {
        if (first + output >= a.outputs) break;
#pragma unroll
        for (int k = 0; k < kValuesPerRead; ++k)
          sums[row][output] += inputs[k] * weights[output][k];
      }
    }
  }
#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    if (row >= a.rows) break;
#pragma unroll
    for (int output = 0; output < kOutputsOfWarp; ++output) {
      if (first + output >= a.outputs) break;
      const float sum = sum_of_lanes(sums[row][output]) * Weight::scale(a.weight, first + output);
      const T* bias = static_cast<const T*>(a.bias);
      if (lane == 0) {
        store(static_cast<T*>(a.out) + row * a.outputs + first + output,
              bias == nullptr ? sum : sum + to_float(bias[first + output]));
      }
    }
  }
}

}  // namespace precis::kernels
