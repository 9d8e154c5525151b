// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cfloat>

#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kSampleThreads = 512;
constexpr int kBins = 256;  // of a histogram: one for each value of a byte
constexpr int kBinsOfLane = kBins / kWarpSize;

using Mass = unsigned long long;  // sums of weights, or counts; the 64-bit type of atomicAdd

// The row that a block samples from, and the options.
struct SampleRow {
  const float* logits;
  int64_t vocabulary;
  float temperature;
  int64_t top_k;
  double top_p;
  double min_p;
  uint64_t random;
  int64_t* id;
};

struct SampleShared {
  Mass warps[kSampleThreads / kWarpSize];
  Mass bins[kBins];
  Mass above;  // mass in the bins above the chosen one
  unsigned bin;
};

// An integer that is larger for larger floats; 0 and -0 have the same.
__device__ inline unsigned sort_key(float value) {
  const unsigned bits = __float_as_uint(value + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

// Largest value of a block, in every thread.
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

// Sum over the lanes up to this one.
__device__ inline Mass sum_upto_lane(Mass sum) {
  const int lane = threadIdx.x % kWarpSize;
  for (int by = 1; by < kWarpSize; by *= 2) {
    const Mass other = __shfl_up_sync(kWholeWarp, sum, by);
    if (lane >= by) sum += other;
  }
  return sum;
}

struct Scanned {
  Mass before;  // of the threads before this one
  Mass total;
};

__device__ inline Scanned scan_of_block(Mass value, SampleShared& shared) {
  const int lane = threadIdx.x % kWarpSize, warp = threadIdx.x / kWarpSize;
  const Mass sum = sum_upto_lane(value);
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

// The candidates: logits with a key above `key`, and the first `ties` logits with this key.
struct Threshold {
  unsigned key;
  Mass ties;
};

// Weights of the logits of a row relative to the largest one.
struct Drawable {
  const SampleRow& a;
  float largest;

  // How far a logit is below the largest.
  __device__ float distance(float logit) const { return (largest - logit) / a.temperature; }
  __device__ Mass weight(float logit) const {
    return static_cast<Mass>(rintf(expf(-distance(logit)) * kHeaviest));
  }
  // Bin of a logit in a histogram of distances that have a weight; the largest logits are in the
  // last bin.
  __device__ unsigned bin(float logit) const {
    const float below = distance(logit) * (kBins / 23.0f);
    return below < kBins ? kBins - 1 - static_cast<unsigned>(below) : 0;
  }
  // Weight of the largest logit: an integer that float32 represents exactly.
  static constexpr float kHeaviest = 2147483648.0f;
};

// For warp 0: finds the bin at which the mass, summed from the highest bin down, reaches `wanted`,
// and the mass above that bin.
__device__ inline void choose_bin(Mass wanted, SampleShared& shared) {
  const int lane = threadIdx.x;
  const int highest = kBins - 1 - lane * kBinsOfLane;
  Mass own = 0;
  for (int i = 0; i < kBinsOfLane; ++i) own += shared.bins[highest - i];
  const Mass upto = sum_upto_lane(own);
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

// Fills the bins and chooses one. mass_of(logit, bin) sets the bin of a logit and returns its mass,
// 0 if it does not count. Adds the mass above the chosen bin to `above`.
template <typename MassOf>
__device__ void choose_among(
    const SampleRow& a, Mass wanted, Mass& above, const MassOf& mass_of, SampleShared& shared) {
  for (int bin = threadIdx.x; bin < kBins; bin += kSampleThreads) shared.bins[bin] = 0;
  __syncthreads();
  for (int64_t id = threadIdx.x; id < a.vocabulary; id += kSampleThreads) {
    unsigned bin = 0;
    const Mass mass = mass_of(a.logits[id], bin);
    if (mass > 0) atomicAdd(&shared.bins[bin], mass);
  }
  __syncthreads();
  if (threadIdx.x < kWarpSize) choose_bin(wanted - above, shared);
  __syncthreads();
  above += shared.above;
}

// The key at which the mass of the logits, the largest first, reaches `wanted` (1 to the mass of
// all), and the mass above it. A histogram of distances, whose bins hold few logits each, comes
// first; within the chosen bin, histograms of the bytes of keys.
template <typename MassOf>
__device__ void select_key(const Drawable& drawable,
                           Mass wanted,
                           const MassOf& mass_of,
                           SampleShared& shared,
                           unsigned& key,
                           Mass& above) {
  const SampleRow& a = drawable.a;
  above = 0;
  choose_among(
      a,
      wanted,
      above,
      [&](float logit, unsigned& bin) {
        bin = drawable.bin(logit);
        return mass_of(drawable.weight(logit));
      },
      shared);
  const unsigned nearest = shared.bin;
  key = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    choose_among(
        a,
        wanted,
        above,
        [&](float logit, unsigned& bin) {
          const unsigned own = sort_key(logit);
          bin = own >> shift & (kBins - 1);
          // Higher bytes of the key are already chosen.
          const bool chosen = shift == 24 || own >> (shift + 8) == key >> (shift + 8);
          if (!chosen || drawable.bin(logit) != nearest) return Mass{0};
          return mass_of(drawable.weight(logit));
        },
        shared);
    key |= shared.bin << shift;
  }
}

// Sum of mass_of(logit) over the row.
template <typename MassOf>
__device__ Mass total_mass(const SampleRow& a, const MassOf& mass_of, SampleShared& shared) {
  Mass own = 0;
  for (int64_t id = threadIdx.x; id < a.vocabulary; id += kSampleThreads)
    own += mass_of(a.logits[id]);
  return scan_of_block(own, shared).total;
}

__device__ inline float logit_of(unsigned key) {
  return __uint_as_float(key >> 31 ? key & 0x7fffffffu : ~key);
}

__device__ inline Threshold threshold(const Drawable& drawable, SampleShared& shared) {
  const SampleRow& a = drawable.a;
  Threshold lowest{0, 0};
  Mass above = 0;
  const auto weight_of = [&](float logit) { return drawable.weight(logit); };
  const auto has_weight = [&](float logit) { return Mass{drawable.weight(logit) > 0}; };
  if (a.top_k > 0 && total_mass(a, has_weight, shared) > static_cast<Mass>(a.top_k)) {
    const auto one_each = [](Mass weight) { return Mass{weight > 0}; };
    select_key(drawable, a.top_k, one_each, shared, lowest.key, above);
    lowest.ties = a.top_k - above;
  }
  if (a.top_p < 1) {
    const auto kept_weight_of = [&](float logit) {
      return sort_key(logit) > lowest.key ? drawable.weight(logit) : Mass{0};
    };
    Mass total = total_mass(a, kept_weight_of, shared);
    if (lowest.ties > 0) total += lowest.ties * weight_of(logit_of(lowest.key));
    const Mass share = static_cast<Mass>(ceil(a.top_p * static_cast<double>(total)));
    const Mass wanted = share > 1 ? share : 1;
    select_key(
        drawable, wanted, [](Mass weight) { return weight; }, shared, lowest.key, above);
    const Mass weight = weight_of(logit_of(lowest.key));
    lowest.ties = (wanted - above + weight - 1) / weight;
  }
  return lowest;
}

// Range of ids that a warp reads, 32 at a time, one for each lane.
struct WarpShare {
  int64_t begin;
  int64_t end;
};

__device__ inline WarpShare warp_share(int64_t vocabulary) {
  constexpr int64_t kWarps = kSampleThreads / kWarpSize;
  const int64_t steps = (vocabulary + kWarps * kWarpSize - 1) / (kWarps * kWarpSize);
  const int64_t begin = threadIdx.x / kWarpSize * steps * kWarpSize;
  const int64_t end = begin + steps * kWarpSize;
  return {begin, end < vocabulary ? end : vocabulary};
}

// Calls visit(id, weight) in all lanes of a warp for each 32 ids of its range, with weight 0 for
// ids that are no candidates, until visit returns true. ties: ids with the threshold's key in the
// ranges of earlier warps.
template <typename Visit>
__device__ void visit_share(const Drawable& drawable,
                            const Threshold& lowest,
                            Mass ties,
                            const Visit& visit) {
  const SampleRow& a = drawable.a;
  const Mass lightest = static_cast<Mass>(ceil(a.min_p * static_cast<double>(Drawable::kHeaviest)));
  const WarpShare share = warp_share(a.vocabulary);
  const int lane = threadIdx.x % kWarpSize;
  for (int64_t first = share.begin; first < share.end; first += kWarpSize) {
    const int64_t id = first + lane;
    const float logit = id < share.end ? a.logits[id] : 0;
    const unsigned key = sort_key(logit);
    const bool tie = id < share.end && key == lowest.key;
    const unsigned tied = __ballot_sync(kWholeWarp, tie);
    const Mass before = ties + __popc(tied & ((1u << lane) - 1));
    ties += __popc(tied);
    const bool kept = id < share.end && (key > lowest.key || (tie && before < lowest.ties));
    const Mass weight = kept ? drawable.weight(logit) : 0;
    if (visit(id, weight >= lightest ? weight : 0)) return;
  }
}

// Number of ids with the threshold's key before a warp's range.
__device__ inline Mass ties_before(const Drawable& drawable,
                                   const Threshold& lowest,
                                   SampleShared& shared) {
  if (lowest.ties == 0) return 0;
  const WarpShare share = warp_share(drawable.a.vocabulary);
  Mass own = 0;
  for (int64_t id = share.begin + threadIdx.x % kWarpSize; id < share.end; id += kWarpSize)
    own += sort_key(drawable.a.logits[id]) == lowest.key;
  const Mass before = scan_of_block(own, shared).before;
  return __shfl_sync(kWholeWarp, before, 0);
}

// Writes the id that the random number selects: the weights of all candidates are consecutive
// intervals, ids ascending.
__device__ inline void draw(const Drawable& drawable,
                            const Threshold& lowest,
                            SampleShared& shared) {
  const Mass ties = ties_before(drawable, lowest, shared);
  Mass own = 0;
  visit_share(drawable, lowest, ties, [&](int64_t, Mass weight) {
    own += weight;
    return false;
  });
  const Scanned scanned = scan_of_block(own, shared);
  const Mass place = __umul64hi(drawable.a.random, scanned.total);
  Mass upto = __shfl_sync(kWholeWarp, scanned.before, 0);
  const Mass after = __shfl_sync(kWholeWarp, scanned.before + own, kWarpSize - 1);
  if (place < upto || place >= after) return;
  visit_share(drawable, lowest, ties, [&](int64_t id, Mass weight) {
    const Mass end = upto + sum_upto_lane(weight);
    if (place >= end - weight && place < end) *drawable.a.id = id;
    upto = __shfl_sync(kWholeWarp, end, kWarpSize - 1);
    return place < upto;
  });
}

// One block of kSampleThreads per row. Takes time linear in the vocabulary, since nothing is
// sorted.
__device__ inline void sample_id(const SampleArguments& all, SampleShared& shared) {
  const int64_t row = blockIdx.x;
  const SampleRow a{all.logits + row * all.vocabulary,
                    all.vocabulary,
                    all.temperature,
                    all.top_k,
                    all.top_p,
                    all.min_p,
                    all.random[row],
                    all.ids + row};
  Mass best = 0;  // high half: key of the largest logit; low half: its smallest id, inverted
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
