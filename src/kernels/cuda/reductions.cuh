// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

namespace precis::kernels {

constexpr int kWarpSize = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

// Sum over kLanes neighbouring lanes (a power of two), in each of them. All lanes of the warp have
// to call it.
template <int kLanes = kWarpSize>
__device__ inline float sum_of_lanes(float value) {
#pragma unroll
  for (int bits = kLanes / 2; bits > 0; bits /= 2)
    value += __shfl_xor_sync(kWholeWarp, value, bits);
  return value;
}

__device__ inline float largest_of_warp(float value) {
#pragma unroll
  for (int bits = kWarpSize / 2; bits > 0; bits /= 2)
    value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, bits));
  return value;
}

// A value of each warp of a block.
struct WarpValues {
  float of[kWarpSize];
};

// Sum over a block of whole warps, in every thread. `per_warp` may be reused after the next
// barrier.
__device__ inline float sum_of_block(float value, WarpValues& per_warp) {
  const unsigned warps = blockDim.x / kWarpSize, lane = threadIdx.x % kWarpSize;
  value = sum_of_lanes(value);
  if (lane == 0) per_warp.of[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  return sum_of_lanes(lane < warps ? per_warp.of[lane] : 0.0f);
}

}  // namespace precis::kernels
