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

// Numbers of an output's row of the weight that a lane reads at a time.
constexpr int kOwnNumbers = 8;

// How it reads them: kPieces pieces of neighbours, of which those of the next lane are the next, so
// that a warp reads x in one stretch. Their sum times scale(output) is the product.

struct Int8Weight {
  static constexpr int kPieces = 1;

  __device__ static int64_t column(int64_t unit, int) { return unit * kOwnNumbers; }
  __device__ static void read(const QuantizedMatrix& w, int64_t output, int64_t unit, float* out) {
    const auto codes = load<kOwnNumbers>(static_cast<const int8_t*>(w.codes) + output * w.width +
                                         unit * kOwnNumbers);
#pragma unroll
    for (int k = 0; k < kOwnNumbers; ++k) out[k] = static_cast<float>(codes.of[k]);
  }
  __device__ static float scale(const QuantizedMatrix& w, int64_t output) {
    return w.scales[output];
  }
};

// Four bytes of a group: four codes of its first half and four of its second.
struct Int4Weight {
  static constexpr int kPieces = 2;
  static constexpr int kUnits = kQuantizedGroup / kOwnNumbers;  // of a group

  __device__ static int64_t column(int64_t unit, int piece) {
    return unit / kUnits * kQuantizedGroup + unit % kUnits * (kOwnNumbers / 2) +
           piece * (kQuantizedGroup / 2);
  }
  __device__ static void read(const QuantizedMatrix& w, int64_t output, int64_t unit, float* out) {
    const int64_t own = output * (w.width / kOwnNumbers) + unit, group = own / kUnits;
    const auto codes =
        load<kOwnNumbers / 2>(static_cast<const uint8_t*>(w.codes) + own * (kOwnNumbers / 2));
    const float scale = __half2float(__ushort_as_half(w.group_scales[group]));
    const float minimum = __half2float(__ushort_as_half(w.group_minima[group]));
#pragma unroll
    for (int k = 0; k < kOwnNumbers / 2; ++k) {
      out[k] = scale * static_cast<float>(codes.of[k] & 15) + minimum;
      out[k + kOwnNumbers / 2] = scale * static_cast<float>(codes.of[k] >> 4) + minimum;
    }
  }
  __device__ static float scale(const QuantizedMatrix&, int64_t) { return 1; }
};

// A warp kOutputsOfWarp outputs of up to kRows rows: all of a weight is read once. x, bias and out:
// of T. kPack: numbers of x that one instruction reads, where pieces have so many.
template <typename T, typename Weight, int kPack, int kRows>
__device__ void weight_only_outputs(const WeightOnlyLinearArguments& a) {
  constexpr int kPiece = kOwnNumbers / Weight::kPieces, kRead = kPack < kPiece ? kPack : kPiece;
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kOutputsOfBlock + warp * kOutputsOfWarp;
  const T* x = static_cast<const T*>(a.x);
  float sums[kRows][kOutputsOfWarp] = {};
#pragma unroll(kRows > 8 ? 1 : 2)
  for (int64_t unit = lane; unit < a.weight.width / kOwnNumbers; unit += kWarpSize) {
    float weights[kOutputsOfWarp][kOwnNumbers];
#pragma unroll
    for (int output = 0; output < kOutputsOfWarp; ++output)
      if (first + output < a.outputs) Weight::read(a.weight, first + output, unit, weights[output]);
#pragma unroll
    for (int row = 0; row < kRows; ++row) {
      if (row >= a.rows) break;
      float numbers[kOwnNumbers];
#pragma unroll
      for (int k = 0; k < kOwnNumbers; k += kRead)
        load<kRead>(x + row * a.weight.width + Weight::column(unit, k / kPiece) + k % kPiece,
                    numbers + k);
#pragma unroll
      for (int output = 0; output < kOutputsOfWarp; ++output) {
        if (first + output >= a.outputs) break;
#pragma unroll
        for (int k = 0; k < kOwnNumbers; ++k) sums[row][output] += numbers[k] * weights[output][k];
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
