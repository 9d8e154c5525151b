// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/reductions.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

constexpr int kDecodeThreads = 128;
constexpr int kDecodeWarps = kDecodeThreads / kWarpSize;

// Columns of a row that a lane holds.
constexpr int kOwnColumns = 8;
// Rows that a thread has asked for before it uses the first: memory answers late.
constexpr int kRowsInFlight = 4;
constexpr int64_t kWidestHead = kOwnColumns * kWarpSize;

// kHeads: of those that share keys, how many are computed from one reading of them.
template <int kHeads>
struct DecodeAttentionShared {
  float weights[kHeads][kKeysPerGpuPart];  // scores, then their exponentials
  float largest[kHeads];
  float totals[kHeads];
  float sums[kDecodeWarps][kHeads][kWidestHead];
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
  return {lanes, thread % lanes, thread / lanes, kDecodeThreads / lanes};
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

// The rows of a cache that a block reads, and the heads that it reads them for.
template <typename T>
struct DecodePart {
  const T* keys;
  const T* values;
  int count;  // of rows; none beyond the sequence's own parts
  const float* q;
  float* states;
  int heads;
};

template <int kPack, int kHeads, typename T>
__device__ void score_keys(const DecodePart<T>& part,
                           const RowReader& reader,
                           const DecodeAttentionArguments& a,
                           DecodeAttentionShared<kHeads>& shared) {
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
      load_columns<kPack>(
          part.keys + key * a.head_dim, key < part.count ? a.head_dim : 0, reader, columns[i]);
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
__device__ void weigh_scores(const DecodePart<T>& part, DecodeAttentionShared<kHeads>& shared) {
  const int lane = threadIdx.x % kWarpSize;
  for (int head = threadIdx.x / kWarpSize; head < part.heads; head += kDecodeWarps) {
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
__device__ void sum_values(const DecodePart<T>& part,
                           const RowReader& reader,
                           int64_t head_dim,
                           DecodeAttentionShared<kHeads>& shared) {
  float sums[kHeads][kOwnColumns] = {};
  for (int first = reader.row; first < part.count; first += kRowsInFlight * reader.stride) {
    float columns[kRowsInFlight][kOwnColumns];
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const int64_t key = first + i * reader.stride;
      load_columns<kPack>(
          part.values + key * head_dim, key < part.count ? head_dim : 0, reader, columns[i]);
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
__device__ void write_states(const DecodePart<T>& part,
                             int64_t head_dim,
                             const DecodeAttentionShared<kHeads>& shared) {
  for (int head = 0; head < part.heads; ++head) {
    float* state = part.states + head * (head_dim + 2);
    for (int64_t i = threadIdx.x; i < head_dim; i += kDecodeThreads) {
      float sum = 0;
      for (int warp = 0; warp < kDecodeWarps; ++warp) sum += shared.sums[warp][head][i];
      state[i] = sum;
    }
    if (threadIdx.x == 0) {
      state[head_dim] = shared.totals[head];
      state[head_dim + 1] = shared.largest[head];
    }
  }
}

// A block a task (DecodeAttentionArguments), of kDecodeThreads. kPack divides head_dim and aligns
// the rows; head_dim is at most kWidestHead.
template <typename T, int kPack, int kHeads>
__device__ void decode_attention_task(const DecodeAttentionArguments& a,
                                      DecodeAttentionShared<kHeads>& shared) {
  const int64_t task = blockIdx.x, group = a.heads / a.kv_heads, head = task / a.parts;
  const CachedRows& cached = a.cached[head / a.kv_heads];
  const int64_t begin = cached.first_key + task % a.parts * kKeysPerGpuPart;
  const int64_t left = cached.num_keys - begin;
  const int64_t offset = head % a.kv_heads * cached.stride + begin * a.head_dim;
  const RowReader reader = row_reader<kPack>(a.head_dim);
  for (int64_t first = 0; first < group; first += kHeads) {
    const int64_t heads = group - first;
    const DecodePart<T> part{static_cast<const T*>(cached.keys) + offset,
                             static_cast<const T*>(cached.values) + offset,
                             static_cast<int>(left < 0                 ? 0
                                              : left < kKeysPerGpuPart ? left
                                                                       : kKeysPerGpuPart),
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
__device__ inline void merge_decode_attention_head(const DecodeAttentionArguments& a) {
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
    a.out[head * a.head_dim + i] = sum / total;
  }
}

}  // namespace precis::kernels
