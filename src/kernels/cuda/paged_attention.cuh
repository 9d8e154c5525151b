// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/paged_cache.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kAttentionThreads = 128;
constexpr int kAttentionWarps = kAttentionThreads / kWarpSize;

// Columns of a row that a lane holds.
constexpr int kOwnColumns = 8;
// Rows that a thread has asked for before it uses the first: memory answers late.
constexpr int kRowsInFlight = 4;
constexpr int64_t kWidestHead = kOwnColumns * kWarpSize;
// Pages that the keys of a part may lie in, wherever the first one stands in its own.
constexpr int kPagesPerPart = kKeysPerGpuPart / kRowsPerPage + 1;

// kHeads: of those that share keys, how many are computed from one reading of them.
template <int kHeads>
struct PagedAttentionShared {
  float weights[kHeads][kKeysPerGpuPart];  // scores, then their exponentials
  float largest[kHeads];
  float totals[kHeads];
  float sums[kAttentionWarps][kHeads][kWidestHead];
  const void* pages[kPagesPerPart];
};

// Where a lane stands: rows are read by `lanes` neighbours each, packs of kPack in turn.
struct RowReader {
  int lanes;   // a power of two
  int lane;    // of these
  int row;     // of the rows that the block reads at a time
  int stride;  // rows that it reads at a time
};

template <int kPack>
__device__ RowReader row_reader(int64_t head_dim) {
  const int64_t packs = (head_dim + kPack - 1) / kPack;
  int lanes = 1;
  while (lanes < packs && lanes < kWarpSize) lanes *= 2;
  const int thread = static_cast<int>(threadIdx.x);
  return {lanes, thread % lanes, thread / lanes, kAttentionThreads / lanes};
}

// The columns of a row that are this lane's; those beyond the row are 0.
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

// The column that element i of these is.
template <int kPack>
__device__ int64_t column_of(const RowReader& reader, int i) {
  return static_cast<int64_t>(reader.lane + i / kPack * reader.lanes) * kPack + i % kPack;
}

__device__ inline float sum_of_reader(float value, int lanes) {
  for (int bits = lanes / 2; bits > 0; bits /= 2) value += __shfl_xor_sync(kWholeWarp, value, bits);
  return value;
}

// The rows of a head that a block reads, and the heads of queries that it reads them for.
template <typename T>
struct AttentionPart {
  const void* const* pages;  // the first holds the first row
  int64_t skipped;           // rows of that page before it
  PagePlace place;
  int64_t head_dim;
  int count;  // of rows; none beyond the sequence's own parts
  const float* q;
  float* states;
  int heads;

  // The key's row; those that are none of the part's are never read.
  __device__ const T* row(int64_t key, int64_t begin) const {
    const int64_t own = (key < count ? key : 0) + skipped;
    return static_cast<const T*>(pages[own / kRowsPerPage]) + begin + own % kRowsPerPage * head_dim;
  }
  __device__ const T* keys(int64_t key) const { return row(key, place.keys); }
  __device__ const T* values(int64_t key) const { return row(key, place.values); }
};

template <int kPack, int kHeads, typename T>
__device__ void score_keys(const AttentionPart<T>& part,
                           const RowReader& reader,
                           const PagedAttentionArguments& a,
                           PagedAttentionShared<kHeads>& shared) {
  float q[kHeads][kOwnColumns];
#pragma unroll
  for (int head = 0; head < kHeads; ++head) {
    if (head >= part.heads) break;
#pragma unroll
    for (int i = 0; i < kOwnColumns; ++i) {
      const int64_t column = column_of<kPack>(reader, i);
      q[head][i] = column < a.head_dim ? part.q[head * a.head_dim + column] * a.scale : 0;
    }
  }
  // All lanes take as many turns: the sums are the warp's.
  for (int first = reader.row; first - reader.row < part.count;
       first += kRowsInFlight * reader.stride) {
    float columns[kRowsInFlight][kOwnColumns];
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int64_t key = first + i * reader.stride;
      load_columns<kPack>(part.keys(key), key < part.count ? a.head_dim : 0, reader, columns[i]);
    }
#pragma unroll
    for (int head = 0; head < kHeads; ++head) {
      if (head >= part.heads) break;
#pragma unroll
      for (int i = 0; i < kRowsInFlight; ++i) {
        float score = 0;
#pragma unroll
        for (int k = 0; k < kOwnColumns; ++k) score += q[head][k] * columns[i][k];
        score = sum_of_reader(score, reader.lanes);
        const int key = first + i * reader.stride;
        if (key < part.count && reader.lane == 0) shared.weights[head][key] = score;
      }
    }
  }
}

// Scores into exponentials relative to the largest, a warp a head.
template <int kHeads, typename T>
__device__ void weigh_scores(const AttentionPart<T>& part, PagedAttentionShared<kHeads>& shared) {
  const int lane = threadIdx.x % kWarpSize;
  for (int head = threadIdx.x / kWarpSize; head < part.heads; head += kAttentionWarps) {
    float* weights = shared.weights[head];
    float largest = -INFINITY, total = 0;
    for (int key = lane; key < part.count; key += kWarpSize) largest = fmaxf(largest, weights[key]);
    largest = largest_of_warp(largest);
    for (int key = lane; key < part.count; key += kWarpSize) {
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

// Weighted values: each lane its columns of its rows, then over the rows of the warp.
template <int kPack, int kHeads, typename T>
__device__ void sum_values(const AttentionPart<T>& part,
                           const RowReader& reader,
                           int64_t head_dim,
                           PagedAttentionShared<kHeads>& shared) {
  float sums[kHeads][kOwnColumns] = {};
  for (int first = reader.row; first < part.count; first += kRowsInFlight * reader.stride) {
    float columns[kRowsInFlight][kOwnColumns];
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int64_t key = first + i * reader.stride;
      load_columns<kPack>(part.values(key), key < part.count ? head_dim : 0, reader, columns[i]);
    }
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int key = first + i * reader.stride;
      if (key >= part.count) break;
#pragma unroll
      for (int head = 0; head < kHeads; ++head) {
        if (head >= part.heads) break;
        const float weight = shared.weights[head][key];
#pragma unroll
        for (int k = 0; k < kOwnColumns; ++k) sums[head][k] += weight * columns[i][k];
      }
    }
  }
  const int warp = threadIdx.x / kWarpSize;
#pragma unroll
  for (int head = 0; head < kHeads; ++head) {
    if (head >= part.heads) break;
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
__device__ void write_states(const AttentionPart<T>& part,
                             int64_t head_dim,
                             const PagedAttentionShared<kHeads>& shared) {
  for (int head = 0; head < part.heads; ++head) {
    float* state = part.states + head * (head_dim + 2);
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

// Leaves the addresses of the pages that hold `count` rows from row `first` on.
template <int kHeads>
__device__ void find_pages(const PagedCache& cached,
                           int64_t sequence,
                           int64_t first,
                           int count,
                           PagedAttentionShared<kHeads>& shared) {
  const int64_t page = first / kRowsPerPage, last = (first + count - 1) / kRowsPerPage;
  const int64_t own = page + threadIdx.x;
  if (count > 0 && own <= last)
    shared.pages[threadIdx.x] = cached.pages[sequence * cached.pages_per_sequence + own];
}

// A block a task (PagedAttentionArguments), of kAttentionThreads. kPack divides head_dim and aligns
// the rows; head_dim is at most kWidestHead.
template <typename T, int kPack, int kHeads>
__device__ void paged_attention_task(const PagedAttentionArguments& a,
                                     PagedAttentionShared<kHeads>& shared) {
  const int64_t task = blockIdx.x, group = a.heads / a.kv_heads, head = task / a.parts;
  const int64_t sequence = head / a.kv_heads, num_keys = a.cached.lengths[sequence] + 1;
  const int64_t seen = a.window > 0 && a.window < num_keys ? a.window : num_keys;
  const int64_t begin = task % a.parts * kKeysPerGpuPart, left = seen - begin;
  const int count = static_cast<int>(left < 0                 ? 0
                                     : left < kKeysPerGpuPart ? left
                                                              : kKeysPerGpuPart);
  const int64_t row = num_keys - seen + begin;
  find_pages(a.cached, sequence, row, count, shared);
  __syncthreads();
  const RowReader reader = row_reader<kPack>(a.head_dim);
  for (int64_t first = 0; first < group; first += kHeads) {
    const int64_t heads = group - first;
    const AttentionPart<T> part{
        shared.pages,
        row % kRowsPerPage,
        page_place(a.cached.layer, head % a.kv_heads, a.kv_heads, a.head_dim),
        a.head_dim,
        count,
        a.q + (head * group + first) * a.head_dim,
        a.states + (task * group + first) * (a.head_dim + 2),
        static_cast<int>(heads < kHeads ? heads : kHeads)};
    score_keys<kPack>(part, reader, a, shared);
    __syncthreads();
    weigh_scores(part, shared);
    __syncthreads();
    sum_values<kPack>(part, reader, a.head_dim, shared);
    __syncthreads();
    write_states(part, a.head_dim, shared);
  }
}

// A block an output row of a head: blockIdx.x is sequence * heads + head.
template <typename T>
__device__ void merge_attention_head(const PagedAttentionArguments& a) {
  const int64_t group = a.heads / a.kv_heads, head = blockIdx.x, size = a.head_dim + 2;
  const float* states = a.states + (head / group * a.parts * group + head % group) * size;
  const int64_t step = group * size;
  float largest = -INFINITY;
  for (int64_t part = 0; part < a.parts; ++part)
    largest = fmaxf(largest, states[part * step + a.head_dim + 1]);
  for (int64_t i = threadIdx.x; i < a.head_dim; i += blockDim.x) {
    float sum = 0, total = 0;
    for (int64_t part = 0; part < a.parts; ++part) {
      const float* state = states + part * step;
      if (state[a.head_dim] == 0) continue;  // a part that another sequence has and this has not
      const float weight = expf(state[a.head_dim + 1] - largest);
      sum += weight * state[i];
      total += weight * state[a.head_dim];
    }
    store(static_cast<T*>(a.out) + head * a.head_dim + i, sum / total);
  }
}

}  // namespace precis::kernels
