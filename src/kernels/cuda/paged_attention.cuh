// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/paged_cache.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kAttentionThreads = 128;
constexpr int kAttentionWarps = kAttentionThreads / kWarpSize;

// Columns of a key or value that a lane holds.
constexpr int kOwnColumns = 8;
// Keys or values that a thread loads before it uses the first: hides memory latency.
constexpr int kKeysInFlight = 4;
constexpr int64_t kWidestHead = kOwnColumns * kWarpSize;
// Most pages that the keys of a split span, since the first key may be anywhere in its page.
constexpr int kPagesPerSplit = kKeysPerGpuSplit / kTokensPerPage + 1;

// kHeads: query heads that are computed from one load of the keys that they share.
template <int kHeads>
struct PagedAttentionShared {
  float weights[kHeads][kKeysPerGpuSplit];  // scores, then their exponentials
  float largest[kHeads];
  float totals[kHeads];
  float sums[kAttentionWarps][kHeads][kWidestHead];
  const void* pages[kPagesPerSplit];
};

// How threads divide keys and values: each is read by `lanes` neighbouring threads, which take
// packs of kPack in turn.
struct RowReader {
  int lanes;   // a power of two
  int lane;    // index among these
  int row;     // index of its key among those that the block reads at a time
  int stride;  // keys that the block reads at a time
};

template <int kPack>
__device__ RowReader row_reader(int64_t head_dim) {
  const int64_t packs = (head_dim + kPack - 1) / kPack;
  int lanes = 1;
  while (lanes < packs && lanes < kWarpSize) lanes *= 2;
  const int thread = static_cast<int>(threadIdx.x);
  return {lanes, thread % lanes, thread / lanes, kAttentionThreads / lanes};
}

// Loads this lane's columns of a row; columns beyond the row are 0.
template <int kPack, typename T>
__device__ void load_columns(const T* row, int64_t width, const RowReader& reader, float* out) {
#pragma unroll
  for (int pack = 0; pack < kOwnColumns / kPack; ++pack) {
    const int64_t first = static_cast<int64_t>(reader.lane + pack * reader.lanes) * kPack;
    if (first < width) {
      load<kPack>(row + first, out + pack * kPack);
    } else {
#pragma unroll
      for (int k = 0; k < kPack; ++k) out[pack * kPack + k] = 0;
    }
  }
}

// Column of this lane's element i.
template <int kPack>
__device__ int64_t column_of(const RowReader& reader, int i) {
  return static_cast<int64_t>(reader.lane + i / kPack * reader.lanes) * kPack + i % kPack;
}

__device__ inline float sum_of_reader(float value, int lanes) {
  for (int bits = lanes / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(kWholeWarp, value, bits);
  return value;
}

// The keys and values of one head in one split, and the query heads that read them.
template <typename T>
struct AttentionSplit {
  const void* const* pages;  // the first holds the first key
  int64_t skipped;           // keys of that page before it
  PagePlace place;
  int64_t head_dim;
  int count;  // keys; 0 in splits beyond the end of the sequence
  const float* q;
  float* states;
  int heads;

  // Address of a key's row. For keys beyond the split it is that of the first, and is not read.
  __device__ const T* row(int64_t key, int64_t begin) const {
    const int64_t own = (key < count ? key : 0) + skipped;
    return static_cast<const T*>(pages[own / kTokensPerPage]) + begin +
           own % kTokensPerPage * head_dim;
  }
  __device__ const T* keys(int64_t key) const { return row(key, place.keys); }
  __device__ const T* values(int64_t key) const { return row(key, place.values); }
};

template <int kPack, int kHeads, typename T>
__device__ void score_keys(const AttentionSplit<T>& split,
                           const RowReader& reader,
                           const PagedAttentionArguments& a,
                           PagedAttentionShared<kHeads>& shared) {
  float q[kHeads][kOwnColumns];
#pragma unroll
  for (int head = 0; head < kHeads; ++head) {
    if (head >= split.heads) break;
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i) {
      const int64_t column = column_of<kPack>(reader, i);
      q[head][i] = column < a.head_dim ? split.q[head * a.head_dim + column] * a.scale : 0;
    }
  }
  // All lanes iterate equally often, since the sums are over the warp.
  for (int first = reader.row; first - reader.row < split.count;
       first += kKeysInFlight * reader.stride) {
    float columns[kKeysInFlight][kOwnColumns];
#pragma unroll
    for (int i = 0; i < kKeysInFlight; ++i) {
      const int64_t key = first + i * reader.stride;
      load_columns<kPack>(split.keys(key), key < split.count ? a.head_dim : 0, reader, columns[i]);
    }
#pragma unroll
    for (int head = 0; head < kHeads; ++head) {
      if (head >= split.heads) break;
#pragma unroll
      for (int i = 0; i < kKeysInFlight; ++i) {
        float score = 0;
#pragma unroll
        for (int k = 0; k < kOwnColumns; ++k) score += q[head][k] * columns[i][k];
        score = sum_of_reader(score, reader.lanes);
        const int key = first + i * reader.stride;
        if (key < split.count && reader.lane == 0) shared.weights[head][key] = score;
      }
    }
  }
}

// Replaces scores by exp(score - largest). One warp per head.
template <int kHeads, typename T>
__device__ void weigh_scores(const AttentionSplit<T>& split, PagedAttentionShared<kHeads>& shared) {
  const int lane = threadIdx.x % kWarpSize;
  for (int head = threadIdx.x / kWarpSize; head < split.heads; head += kAttentionWarps) {
    float* weights = shared.weights[head];
    float largest = -INFINITY, total = 0;
    for (int key = lane; key < split.count; key += kWarpSize)
      largest = fmaxf(largest, weights[key]);
    largest = largest_of_warp(largest);
    for (int key = lane; key < split.count; key += kWarpSize) {
      weights[key] = expf(weights[key] - largest);
      total += weights[key];
    }
    total = sum_of_lanes(total);
    if (lane == 0) {
      shared.largest[head] = largest;
      shared.totals[head] = total;
    }
  }
}

// Weighted sum of values: each lane sums its columns over its keys, then the warp over its lanes.
template <int kPack, int kHeads, typename T>
__device__ void sum_values(const AttentionSplit<T>& split,
                           const RowReader& reader,
                           int64_t head_dim,
                           PagedAttentionShared<kHeads>& shared) {
  float sums[kHeads][kOwnColumns] = {};
  for (int first = reader.row; first < split.count; first += kKeysInFlight * reader.stride) {
    float columns[kKeysInFlight][kOwnColumns];
#pragma unroll
    for (int i = 0; i < kKeysInFlight; ++i) {
      const int64_t key = first + i * reader.stride;
      load_columns<kPack>(split.values(key), key < split.count ? head_dim : 0, reader, columns[i]);
    }
#pragma unroll
    for (int i = 0; i < kKeysInFlight; ++i) {
      const int key = first + i * reader.stride;
      if (key >= split.count) break;
#pragma unroll
      for (int head = 0; head < kHeads; ++head) {
        if (head >= split.heads) break;
        const float weight = shared.weights[head][key];
#pragma unroll
        for (int k = 0; k < kOwnColumns; ++k) sums[head][k] += weight * columns[i][k];
      }
    }
  }
  const int warp = threadIdx.x / kWarpSize;
#pragma unroll
  for (int head = 0; head < kHeads; ++head) {
    if (head >= split.heads) break;
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i) {
      float sum = sums[head][i];
      for (int bits = reader.lanes; bits < kWarpSize; bits *= 2)
        sum += __shfl_xor_sync(kWholeWarp, sum, bits);
      const int64_t column = column_of<kPack>(reader, i);
      const bool first_row = static_cast<int>(threadIdx.x) % kWarpSize < reader.lanes;
      if (first_row && column < head_dim) shared.sums[warp][head][column] = sum;
    }
  }
}

template <int kHeads, typename T>
__device__ void write_states(const AttentionSplit<T>& split,
                             int64_t head_dim,
                             const PagedAttentionShared<kHeads>& shared) {
  for (int head = 0; head < split.heads; ++head) {
    float* state = split.states + head * (head_dim + 2);
    for (int64_t i = threadIdx.x; i < head_dim; i += kAttentionThreads) {
      float sum = 0;
      for (int warp = 0; warp < kAttentionWarps; ++warp) sum += shared.sums[warp][head][i];
      state[i] = sum;
    }
    if (threadIdx.x == 0) {
      state[head_dim] = shared.totals[head];
      state[head_dim + 1] = shared.largest[head];
    }
  }
}

// Writes the addresses of the pages that hold keys first .. first + count - 1 to shared.pages.
template <int kHeads>
__device__ void find_pages(const PagedCache& cached,
                           int64_t sequence,
                           int64_t first,
                           int count,
                           PagedAttentionShared<kHeads>& shared) {
  const int64_t page = first / kTokensPerPage, last = (first + count - 1) / kTokensPerPage;
  const int64_t own = page + threadIdx.x;
  if (count > 0 && own <= last)
    shared.pages[threadIdx.x] = cached.pages[sequence * cached.pages_per_sequence + own];
}

// One block of kAttentionThreads per sequence, key head and split. kPack divides head_dim, and rows
// are aligned to it; head_dim is at most kWidestHead.
template <typename T, int kPack, int kHeads>
__device__ void paged_attention_task(const PagedAttentionArguments& a,
                                     PagedAttentionShared<kHeads>& shared) {
  const int64_t task = blockIdx.x, group = a.heads / a.kv_heads, head = task / a.max_splits;
  const int64_t sequence = head / a.kv_heads, num_keys = a.cached.lengths[sequence] + 1;
  const int64_t seen = a.window > 0 && a.window < num_keys ? a.window : num_keys;
  const int64_t begin = task % a.max_splits * kKeysPerGpuSplit, left = seen - begin;
  const int count = static_cast<int>(left < 0                  ? 0
                                     : left < kKeysPerGpuSplit ? left
                                                               : kKeysPerGpuSplit);
  const int64_t row = num_keys - seen + begin;
  find_pages(a.cached, sequence, row, count, shared);
  __syncthreads();
  const RowReader reader = row_reader<kPack>(a.head_dim);
  for (int64_t first = 0; first < group; first += kHeads) {
    const int64_t heads = group - first;
    const AttentionSplit<T> split{
        shared.pages,
        row % kTokensPerPage,
        page_place(a.cached.layer, head % a.kv_heads, a.kv_heads, a.head_dim),
        a.head_dim,
        count,
        a.q + (head * group + first) * a.head_dim,
        a.states + (task * group + first) * (a.head_dim + 2),
        static_cast<int>(heads < kHeads ? heads : kHeads)};
    score_keys<kPack>(split, reader, a, shared);
    __syncthreads();
    weigh_scores(split, shared);
    __syncthreads();
    sum_values<kPack>(split, reader, a.head_dim, shared);
    __syncthreads();
    write_states(split, a.head_dim, shared);
  }
}

// One block per query head: blockIdx.x is sequence * heads + head.
template <typename T>
__device__ void merge_attention_head(const PagedAttentionArguments& a) {
  const int64_t group = a.heads / a.kv_heads, head = blockIdx.x, size = a.head_dim + 2;
  const float* states = a.states + (head / group * a.max_splits * group + head % group) * size;
  const int64_t step = group * size;
  float largest = -INFINITY;
  for (int64_t split = 0; split < a.max_splits; ++split)
    largest = fmaxf(largest, states[split * step + a.head_dim + 1]);
  for (int64_t i = threadIdx.x; i < a.head_dim; i += blockDim.x) {
    float sum = 0, total = 0;
    for (int64_t split = 0; split < a.max_splits; ++split) {
      const float* state = states + split * step;
      if (state[a.head_dim] == 0) continue;  // a split beyond the end of this sequence
      const float weight = expf(state[a.head_dim + 1] - largest);
      sum += weight * state[i];
      total += weight * state[a.head_dim];
    }
    store(static_cast<T*>(a.out) + head * a.head_dim + i, sum / total);
  }
}

}  // namespace precis::kernels
