// SPDX-License-Identifier: Apache-2.0
// Attention of single query tokens over blocks of cached keys. block_attention.cc includes this
// file once for each instruction set, so there is no include guard.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/cpu/elements.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace precis::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
constexpr Floats kFloats;
constexpr int64_t kLanes = hn::MaxLanes(kFloats);

HWY_INLINE hn::Vec<Floats> load(const float* x) { return hn::LoadU(kFloats, x); }
HWY_INLINE hn::Vec<Floats> load(const BFloat16* x) {
  const hn::RebindToUnsigned<Floats> kWords;
  const hn::Rebind<uint16_t, Floats> kHalves;
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kWords, hn::LoadU(kHalves, x))));
}

constexpr bool kManyRegisters = kLanes >= 16;  // AVX-512: 32, else 16

// Query heads that are computed at once, of those that share keys.
constexpr int64_t kQueriesTogether = 4;

// Keys for each load of queries, and vectors of value columns for each load of weights: as many as
// keep all sums in registers.
constexpr int64_t keys_together(int64_t queries) { return kManyRegisters || queries <= 2 ? 4 : 2; }
constexpr int64_t vectors_together(int64_t queries) {
  if (kManyRegisters) return queries <= 2 ? 8 : 4;
  return queries == 1 ? 8 : queries <= 3 ? 4 : 2;
}

// out[k] = the sum of the lanes of sums[k]. Four are added up together: neighbours in each block of
// four lanes first, so that a block holds a sum of each vector, then the blocks. (Calls are
// unqualified and found by argument-dependent lookup, since the target of one lane lacks these
// functions.)
template <int64_t kVectors, class D>
HWY_INLINE void store_sums(D d, const hn::Vec<D>* sums, float* out) {
  if constexpr (kVectors == 4 && hn::MaxLanes(D()) >= 4) {
    const hn::Repartition<double, D> pairs;
    const auto two = [&](auto a, auto b) HWY_ATTR {
      return Add(InterleaveLower(d, a, b), InterleaveUpper(d, a, b));
    };
    const auto first = BitCast(pairs, two(sums[0], sums[1]));
    const auto second = BitCast(pairs, two(sums[2], sums[3]));
    const auto blocks = Add(BitCast(d, InterleaveLower(pairs, first, second)),
                            BitCast(d, InterleaveUpper(pairs, first, second)));
    HWY_ALIGN float lanes[hn::MaxLanes(D())];
    Store(blocks, d, lanes);
    for (int64_t k = 0; k < 4; ++k) {
      float sum = lanes[k];
      for (int64_t block = 4; block < kLanes; block += 4) sum += lanes[block + k];
      out[k] = sum;
    }
  } else {
    for (int64_t k = 0; k < kVectors; ++k) out[k] = hn::GetLane(hn::SumOfLanes(d, sums[k]));
  }
}

// scores[j][k] = q[j] . keys[k] of kKeys keys and kQueries queries [kQueries, width]; scores:
// [kQueries, kBlockSize].
template <int64_t kKeys, int64_t kQueries, typename T>
HWY_INLINE void dots(const float* q, const T* keys, int64_t width, float* scores) {
  constexpr int64_t kSums = kKeys * kQueries;
  hn::Vec<Floats> sums[kSums];
  for (int64_t s = 0; s < kSums; ++s) sums[s] = hn::Zero(kFloats);
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    hn::Vec<Floats> queries[kQueries];
    for (int64_t j = 0; j < kQueries; ++j) queries[j] = hn::LoadU(kFloats, q + j * width + i);
    for (int64_t k = 0; k < kKeys; ++k) {
      const auto key = load(keys + k * width + i);
      for (int64_t j = 0; j < kQueries; ++j)
        sums[k * kQueries + j] = hn::MulAdd(queries[j], key, sums[k * kQueries + j]);
    }
  }
  float totals[kSums];
  int64_t s = 0;
  for (; s + 4 <= kSums; s += 4) store_sums<4>(kFloats, sums + s, totals + s);
  for (; s < kSums; ++s) store_sums<1>(kFloats, sums + s, totals + s);
  for (int64_t k = 0; k < kKeys; ++k) {
    for (int64_t j = 0; j < kQueries; ++j) {
      float& score = scores[j * kBlockSize + k];
      score = totals[k * kQueries + j];
      for (int64_t c = i; c < width; ++c) score += q[j * width + c] * to_float(keys[k * width + c]);
    }
  }
}

// sums[j] += weights[j] . values[., i], for kVectors vectors of columns; weights: [kQueries,
// kBlockSize]; sums: rows `stride` apart.
template <int64_t kVectors, int64_t kQueries, typename T>
HWY_INLINE void add_columns(const float* weights,
                            const T* values,
                            int64_t count,
                            int64_t width,
                            int64_t stride,
                            float* sums) {
  hn::Vec<Floats> columns[kQueries * kVectors];
  for (int64_t j = 0; j < kQueries; ++j)
    for (int64_t v = 0; v < kVectors; ++v)
      columns[j * kVectors + v] = hn::LoadU(kFloats, sums + j * stride + v * kLanes);
  for (int64_t k = 0; k < count; ++k) {
    hn::Vec<Floats> row[kVectors];
    for (int64_t v = 0; v < kVectors; ++v) row[v] = load(values + k * width + v * kLanes);
    for (int64_t j = 0; j < kQueries; ++j) {
      const auto weight = hn::Set(kFloats, weights[j * kBlockSize + k]);
      for (int64_t v = 0; v < kVectors; ++v)
        columns[j * kVectors + v] = hn::MulAdd(weight, row[v], columns[j * kVectors + v]);
    }
  }
  for (int64_t j = 0; j < kQueries; ++j)
    for (int64_t v = 0; v < kVectors; ++v)
      hn::StoreU(columns[j * kVectors + v], kFloats, sums + j * stride + v * kLanes);
}

template <int64_t kQueries, typename T>
HWY_INLINE void add_weighted(const float* weights,
                             const T* values,
                             int64_t count,
                             int64_t width,
                             int64_t stride,
                             float* sums) {
  constexpr int64_t kMost = vectors_together(kQueries);
  int64_t i = 0;
  for (; i + kMost * kLanes <= width; i += kMost * kLanes)
    add_columns<kMost, kQueries>(weights, values + i, count, width, stride, sums + i);
  for (; i + kLanes <= width; i += kLanes)
    add_columns<1, kQueries>(weights, values + i, count, width, stride, sums + i);
  for (; i < width; ++i)
    for (int64_t j = 0; j < kQueries; ++j)
      for (int64_t k = 0; k < count; ++k)
        sums[j * stride + i] += weights[j * kBlockSize + k] * to_float(values[k * width + i]);
}

// Replaces the first `count` scores of [kBlockSize] by exp(score - largest), the others by 0.
// Writes their sum to state[0] and the largest score to state[1].
HWY_INLINE void weigh(float* scores, int64_t count, float scale, float* state) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::fill(scores + count, scores + kBlockSize, scores[0]);  // changes neither of the two below
  auto not_finite = hn::Zero(kFloats), highest = hn::Set(kFloats, -kInfinity);
  for (int64_t k = 0; k < count; k += kLanes) {
    const auto scaled = hn::Mul(hn::Load(kFloats, scores + k), hn::Set(kFloats, scale));
    hn::Store(scaled, kFloats, scores + k);
    // 0, or NaN, which hn::Exp would turn into 0.
    not_finite = hn::MulAdd(scaled, hn::Zero(kFloats), not_finite);
    highest = hn::Max(highest, scaled);
  }
  const auto largest = hn::MaxOfLanes(kFloats, highest);
  std::fill(scores + count, scores + kBlockSize, -kInfinity);
  auto weights = not_finite;
  for (int64_t k = 0; k < count; k += kLanes) {
    const auto weight = hn::Exp(kFloats, hn::Sub(hn::Load(kFloats, scores + k), largest));
    hn::Store(weight, kFloats, scores + k);
    weights = hn::Add(weights, weight);
  }
  state[0] = hn::GetLane(hn::SumOfLanes(kFloats, weights));
  state[1] = hn::GetLane(largest);
}

// States of kQueries query heads [kQueries, width] over up to kBlockSize keys. Each is the weighted
// sum of values [width], the total weight, and the largest score, to which weights are relative.
// Each key and value is loaded once for all query heads.
template <int64_t kQueries, typename T>
HWY_INLINE void attend_keys(const float* q,
                            const T* keys,
                            const T* values,
                            int64_t count,
                            int64_t width,
                            float scale,
                            float* states) {
  constexpr int64_t kKeys = keys_together(kQueries);
  HWY_ALIGN float scores[kQueries * kBlockSize];
  int64_t k = 0;
  for (; k + kKeys <= count; k += kKeys)
    dots<kKeys, kQueries>(q, keys + k * width, width, scores + k);
  for (; k < count; ++k) dots<1, kQueries>(q, keys + k * width, width, scores + k);
  const int64_t stride = width + 2;
  for (int64_t j = 0; j < kQueries; ++j) {
    weigh(scores + j * kBlockSize, count, scale, states + j * stride + width);
    std::fill(states + j * stride, states + j * stride + width, 0.0f);
  }
  add_weighted<kQueries>(scores, values, count, width, stride, states);
}

// attend_keys() for any number of query heads.
template <typename T>
HWY_INLINE void attend_group(const float* q,
                             const T* keys,
                             const T* values,
                             int64_t count,
                             int64_t group,
                             int64_t width,
                             float scale,
                             float* states) {
  const int64_t stride = width + 2;
  for (; group >= kQueriesTogether; group -= kQueriesTogether) {
    attend_keys<kQueriesTogether>(q, keys, values, count, width, scale, states);
    q += kQueriesTogether * width;
    states += kQueriesTogether * stride;
  }
  if (group == 3) attend_keys<3>(q, keys, values, count, width, scale, states);
  if (group == 2) attend_keys<2>(q, keys, values, count, width, scale, states);
  if (group == 1) attend_keys<1>(q, keys, values, count, width, scale, states);
}

template <typename T>
struct HeadKeys {
  const T* keys;
  const T* values;
  int64_t count;
};

template <typename T>
HWY_INLINE HeadKeys<T> keys_of_head(const BlockAttentionArguments& a,
                                    const AttendedBlock& block,
                                    int64_t head) {
  const T* keys = static_cast<const T*>(block.keys);
  if (block.starts == nullptr) {
    const int64_t size = kBlockSize * a.head_dim;
    keys += 2 * (a.layer * a.kv_heads + head) * size;
    return {keys, keys + size, kBlockSize};
  }
  const int64_t* start = block.starts + a.layer * a.kv_heads + head;
  const int64_t first = start[0] + block.chunk * kBlockSize;
  return {keys + first * a.head_dim,
          static_cast<const T*>(block.values) + first * a.head_dim,
          start[1] - first};
}

template <typename T>
HWY_INLINE void attend(const BlockAttentionArguments& a, int64_t task) {
  const AttendedBlock& block = a.blocks[task / a.kv_heads];
  const int64_t head = task % a.kv_heads, group = a.heads / a.kv_heads, width = a.head_dim;
  const HeadKeys<T> own = keys_of_head<T>(a, block, head);
  for (int64_t i = 0; i < block.num_readers; ++i) {
    const BlockReader& reader = a.readers[block.first_reader + i];
    const int64_t count = std::min<int64_t>(reader.end, own.count) - reader.begin;
    const int64_t place = (reader.query * a.kv_heads + head) * a.max_splits + reader.split;
    float* states = a.states + place * group * (width + 2);
    if (count > 0) {
      const int64_t offset = reader.begin * width;
      attend_group(a.q + (reader.query * a.heads + head * group) * width,
                   own.keys + offset,
                   own.values + offset,
                   count,
                   group,
                   width,
                   a.scale,
                   states);
      continue;
    }
    // This head of a ragged memory has no tokens in this chunk.
    for (int64_t k = 0; k < group; ++k, states += width + 2) {
      std::fill(states, states + width + 1, 0.0f);
      states[width + 1] = -std::numeric_limits<float>::infinity();
    }
  }
}

void attend_f32(const BlockAttentionArguments& a, int64_t first, int64_t last) {
  for (int64_t task = first; task < last; ++task) attend<float>(a, task);
}
void attend_bf16(const BlockAttentionArguments& a, int64_t first, int64_t last) {
  for (int64_t task = first; task < last; ++task) attend<BFloat16>(a, task);
}

}  // namespace precis::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
