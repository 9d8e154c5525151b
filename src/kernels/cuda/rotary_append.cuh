// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/paged_cache.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kAppendThreads = 128;
constexpr int kHeadsOfAppendBlock = kAppendThreads / kWarpSize;

// Rotary pairs of a head that a lane holds: for heads of up to kWidestHead elements.
constexpr int kPairsOfLane = 4;

// A lane's elements of a head: some of its first half, and their partners in rotation, of its
// second half.
struct HeadPairs {
  float low[kPairsOfLane];
  float high[kPairsOfLane];
};

template <typename T>
__device__ HeadPairs load_pairs(const T* head, int64_t half) {
  HeadPairs pairs;
#pragma unroll
  for (int i = 0; i < kPairsOfLane; ++i) {
    const int64_t pair = threadIdx.x % kWarpSize + i * kWarpSize;
    pairs.low[i] = pair < half ? to_float(head[pair]) : 0;
    pairs.high[i] = pair < half ? to_float(head[pair + half]) : 0;
  }
  return pairs;
}

template <typename T>
__device__ void store_pairs(const HeadPairs& pairs, T* head, int64_t half) {
#pragma unroll
  for (int i = 0; i < kPairsOfLane; ++i) {
    const int64_t pair = threadIdx.x % kWarpSize + i * kWarpSize;
    if (pair >= half) break;
    store(head + pair, pairs.low[i]);
    store(head + pair + half, pairs.high[i]);
  }
}

// RMS norm of a head. All lanes of the warp have to call it.
__device__ inline void normalize(HeadPairs& pairs,
                                 const float* weight,
                                 int64_t half,
                                 float epsilon) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kPairsOfLane; ++i)
    squares += pairs.low[i] * pairs.low[i] + pairs.high[i] * pairs.high[i];
  const float scale = rsqrtf(sum_of_lanes(squares) / static_cast<float>(2 * half) + epsilon);
#pragma unroll
  for (int i = 0; i < kPairsOfLane; ++i) {
    const int64_t pair = threadIdx.x % kWarpSize + i * kWarpSize;
    if (pair >= half) break;
    pairs.low[i] *= scale * weight[pair];
    pairs.high[i] *= scale * weight[pair + half];
  }
}

__device__ inline void rotate(HeadPairs& pairs, const float* cos, const float* sin, int64_t half) {
#pragma unroll
  for (int i = 0; i < kPairsOfLane; ++i) {
    const int64_t pair = threadIdx.x % kWarpSize + i * kWarpSize;
    if (pair >= half) break;
    const float low = pairs.low[i], high = pairs.high[i];
    pairs.low[i] = low * cos[pair] - high * sin[pair];
    pairs.high[i] = high * cos[pair] + low * sin[pair];
  }
}

// One warp per head. blockIdx.x is the row; blockIdx.y * kHeadsOfAppendBlock + warp counts heads of
// queries, then of keys, then of values.
template <typename T>
__device__ void rotary_append_head(const PagedAppendArguments& a) {
  const int64_t row = blockIdx.x, half = a.head_dim / 2, all = a.heads + 2 * a.kv_heads;
  const int64_t head =
      static_cast<int64_t>(blockIdx.y) * kHeadsOfAppendBlock + threadIdx.x / kWarpSize;
  if (head >= all) return;  // whole warps
  HeadPairs pairs =
      load_pairs(static_cast<const T*>(a.qkv) + (row * all + head) * a.head_dim, half);
  const bool is_query = head < a.heads, is_value = head >= a.heads + a.kv_heads;
  const float* weight = is_query ? a.q_norm_weight : a.k_norm_weight;
  if (!is_value) {
    if (weight != nullptr) normalize(pairs, weight, half, a.epsilon);
    rotate(pairs, a.cos + row * half, a.sin + row * half, half);
  }
  if (is_query) {
    store_pairs(pairs, a.q + (row * a.heads + head) * a.head_dim, half);
    return;
  }
  const PagePlace place =
      page_place(a.cached.layer, (head - a.heads) % a.kv_heads, a.kv_heads, a.head_dim);
  const int64_t own = a.cached.lengths[row];
  T* page =
      static_cast<T*>(a.cached.pages[row * a.cached.pages_per_sequence + own / kTokensPerPage]);
  store_pairs(pairs,
              page + (is_value ? place.values : place.keys) + own % kTokensPerPage * a.head_dim,
              half);
}

}  // namespace precis::kernels
