// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>

#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kSampleThreads = 1024;
constexpr int kBins = 256;  // of the values of a byte
constexpr int kBinsOfLane = kBins / kWarpSize;

using Mass = unsigned long long;  // sums of weights, or counts; atomics know no other 64-bit type

struct SampleShared {
  Mass warps[kSampleThreads / kWarpSize];
  Mass bins[kBins];
  Mass above;  // mass in the bins above the chosen one
  unsigned bin;
};

// Larger where the number is larger.
__device__ inline unsigned sort_key(float value) {
  const unsigned bits = __float_as_uint(value);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// In every thread.
__device__ inline Mass largest_of_block(Mass value, SampleShared& shared) {
  for (int bits = kWarpSize / 2; bits > 0; bits /= 2) {
    const Mass other = __shfl_xor_sync(kWholeWarp, value, bits);
    value = other > value ? other : value;
  }
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  if (lane == 0) shared.warps[warp] = value;
  __syncthreads();
  value = shared.warps[0];
  for (int i = 1; i < kSampleThreads / kWarpSize; ++i)
    value = shared.warps[i] > value ? shared.warps[i] : value;
  __syncthreads();
  return value;
}

struct Scanned {
  Mass before;  // of the threads before this one
  Mass total;
};

__device__ inline Scanned scan_of_block(Mass value, SampleShared& shared) {
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  Mass sum = value;
  for (int by = 1; by < kWarpSize; by *= 2) {
    const Mass other = __shfl_up_sync(kWholeWarp, sum, by);
    if (lane >= by) sum += other;
  }
  if (lane == kWarpSize - 1) shared.warps[warp] = sum;
  __syncthreads();
  Scanned scanned{sum - value, 0};
  for (int i = 0; i < kSampleThreads / kWarpSize; ++i) {
    if (i < warp) scanned.before += shared.warps[i];
    scanned.total += shared.warps[i];
  }
  __syncthreads();
  return scanned;
}

// What may be drawn: logits above a key, and the first `ties` of those that have it.
struct Threshold {
  unsigned key;
  Mass ties;
};

struct Drawable {
  const SampleArguments& a;
  float largest;

  __device__ Mass weight(float logit) const {
    return static_cast<Mass>(rintf(expf((logit - largest) / a.temperature) * kHeaviest));
  }
  // A whole number, which float32 has: the weight of the largest logit.
  static constexpr float kHeaviest = 2147483648.0f;
};

// Warp 0 leaves the bin, from the highest down, in which the masses reach `wanted`.
__device__ inline void choose_bin(Mass wanted, SampleShared& shared) {
  const int lane = threadIdx.x;
  const int highest = kBins - 1 - lane * kBinsOfLane;
  Mass own = 0;
  for (int i = 0; i < kBinsOfLane; ++i) own += shared.bins[highest - i];
  Mass upto = own;
  for (int by = 1; by < kWarpSize; by *= 2) {
    const Mass other = __shfl_up_sync(kWholeWarp, upto, by);
    if (lane >= by) upto += other;
  }
  Mass above = upto - own;
  if (above >= wanted || upto < wanted) return;
  for (int i = 0; i < kBinsOfLane; ++i) {
    const Mass mass = shared.bins[highest - i];
    if (above + mass >= wanted) {
      shared.bin = highest - i;
      shared.above = above;
      return;
    }
    above += mass;
  }
}

// The key at which the mass of the largest logits, in order, reaches `wanted` (at least 1 and at
// most the mass of all), and the mass above it: byte after byte of the keys, each by a histogram.
template <typename MassOf>
__device__ void select_key(const Drawable& drawable,
                           Mass wanted,
                           const MassOf& mass_of,
                           SampleShared& shared,
                           unsigned& key,
                           Mass& above) {
  key = 0;
  above = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    for (int bin = threadIdx.x; bin < kBins; bin += kSampleThreads) shared.bins[bin] = 0;
    __syncthreads();
    for (int64_t id = threadIdx.x; id < drawable.a.vocabulary; id += kSampleThreads) {
      const unsigned own = sort_key(drawable.a.logits[id]);
      // Bytes above this one are chosen already.
      if (shift < 24 && own >> (shift + 8) != key >> (shift + 8)) continue;
      const Mass mass = mass_of(drawable.weight(drawable.a.logits[id]));
      if (mass > 0) atomicAdd(&shared.bins[own >> shift & (kBins - 1)], mass);
    }
    __syncthreads();
    if (threadIdx.x < kWarpSize) choose_bin(wanted - above, shared);
    __syncthreads();
    key |= shared.bin << shift;
    above += shared.above;
  }
}

__device__ inline Mass whole_weight(const Drawable& drawable, SampleShared& shared) {
  Mass own = 0;
  for (int64_t id = threadIdx.x; id < drawable.a.vocabulary; id += kSampleThreads)
    own += drawable.weight(drawable.a.logits[id]);
  return scan_of_block(own, shared).total;
}

__device__ inline Mass how_many(const Drawable& drawable, SampleShared& shared) {
  Mass own = 0;
  for (int64_t id = threadIdx.x; id < drawable.a.vocabulary; id += kSampleThreads)
    own += drawable.weight(drawable.a.logits[id]) > 0;
  return scan_of_block(own, shared).total;
}

__device__ inline float logit_of(unsigned key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

__device__ inline Threshold threshold(const Drawable& drawable, SampleShared& shared) {
  const SampleArguments& a = drawable.a;
  Threshold lowest{0, 0};
  Mass above = 0, total = 0;
  if (a.top_k > 0 && how_many(drawable, shared) > static_cast<Mass>(a.top_k)) {
    const Mass wanted = a.top_k;
    select_key(
        drawable, wanted, [](Mass weight) { return Mass{weight > 0}; }, shared, lowest.key, above);
    lowest.ties = wanted - above;
    Mass own = 0;
    for (int64_t id = threadIdx.x; id < a.vocabulary; id += kSampleThreads)
      if (sort_key(a.logits[id]) > lowest.key) own += drawable.weight(a.logits[id]);
    total = scan_of_block(own, shared).total + lowest.ties * drawable.weight(logit_of(lowest.key));
  } else {
    total = whole_weight(drawable, shared);
  }
  if (a.top_p < 1) {
    const Mass share = static_cast<Mass>(ceil(a.top_p * static_cast<double>(total)));
    const Mass wanted = share > 1 ? share : 1;
    select_key(
        drawable, wanted, [](Mass weight) { return weight; }, shared, lowest.key, above);
    const Mass weight = drawable.weight(logit_of(lowest.key));
    lowest.ties = (wanted - above + weight - 1) / weight;
  }
  return lowest;
}

// The id on which the random number falls: weights of all that may be drawn lie one after the
// other, ids ascending.
__device__ inline void draw(const Drawable& drawable,
                            const Threshold& lowest,
                            SampleShared& shared) {
  const SampleArguments& a = drawable.a;
  const Mass lightest = static_cast<Mass>(ceil(a.min_p * static_cast<double>(Drawable::kHeaviest)));
  const int64_t share = (a.vocabulary + kSampleThreads - 1) / kSampleThreads;
  const int64_t first = threadIdx.x * share, after = first + share;
  const int64_t begin = first < a.vocabulary ? first : a.vocabulary;
  const int64_t end = after < a.vocabulary ? after : a.vocabulary;
  Mass ties = 0;
  for (int64_t id = begin; id < end; ++id) ties += sort_key(a.logits[id]) == lowest.key;
  const Mass ties_before = scan_of_block(ties, shared).before;
  // Calls visit(id, weight) for each of this thread's that may be drawn, until it says true.
  const auto visit_own = [&](const auto& visit) {
    Mass seen = ties_before;
    for (int64_t id = begin; id < end; ++id) {
      const unsigned key = sort_key(a.logits[id]);
      const bool kept = key > lowest.key || (key == lowest.key && seen++ < lowest.ties);
      const Mass weight = drawable.weight(a.logits[id]);
      if (kept && weight >= lightest && visit(id, weight)) return;
    }
  };
  Mass own = 0;
  visit_own([&](int64_t, Mass weight) {
    own += weight;
    return false;
  });
  const Scanned scanned = scan_of_block(own, shared);
  const Mass place = __umul64hi(a.random, scanned.total);
  if (place < scanned.before || place >= scanned.before + own) return;
  Mass upto = scanned.before;
  visit_own([&](int64_t id, Mass weight) {
    upto += weight;
    if (place < upto) *a.id = id;
    return place < upto;
  });
}

// One block of kSampleThreads. The work grows with the vocabulary: nothing is sorted.
__device__ inline void sample_id(const SampleArguments& a, SampleShared& shared) {
  Mass best = 0;  // the key of the largest logit above, the smallest of its ids, inverted, below
  bool finite = true;
  for (int64_t id = threadIdx.x; id < a.vocabulary; id += kSampleThreads) {
    const float logit = a.logits[id];
    finite = finite && fabsf(logit) <= FLT_MAX;
    const Mass own =
        static_cast<Mass>(sort_key(logit)) << 32 | (0xffffffffu - static_cast<unsigned>(id));
    best = own > best ? own : best;
  }
  if (__syncthreads_or(!finite)) {
    if (threadIdx.x == 0) *a.id = -1;
    return;
  }
  best = largest_of_block(best, shared);
  if (a.temperature == 0) {
    if (threadIdx.x == 0) *a.id = 0xffffffffu - static_cast<unsigned>(best & 0xffffffffu);
    return;
  }
  const Drawable drawable{a, logit_of(static_cast<unsigned>(best >> 32))};
  draw(drawable, threshold(drawable, shared), shared);
}

}  // namespace precis::kernels
