// SPDX-License-Identifier: Apache-2.0
// One query row over many cached keys, for one instruction set: included once for each by
// decode_attention.cc, so that there is no guard.
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

// Rows that share what is loaded of the query.
constexpr int64_t kKeysTogether = 4;

// scores[k] = q . keys[k], of kKeys rows of `width`.
template <int64_t kKeys, typename T>
HWY_INLINE void dots(const float* q, const T* keys, int64_t width, float* scores) {
  hn::Vec<Floats> sums[kKeys];
  for (int64_t k = 0; k < kKeys; ++k) sums[k] = hn::Zero(kFloats);
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    const auto query = hn::LoadU(kFloats, q + i);
    for (int64_t k = 0; k < kKeys; ++k)
      sums[k] = hn::MulAdd(query, load(keys + k * width + i), sums[k]);
  }
  for (int64_t k = 0; k < kKeys; ++k) scores[k] = hn::GetLane(hn::SumOfLanes(kFloats, sums[k]));
  for (; i < width; ++i)
    for (int64_t k = 0; k < kKeys; ++k) scores[k] += q[i] * to_float(keys[k * width + i]);
}

// sums[i] += weights . values[., i], for kVectors vectors of columns.
template <int64_t kVectors, typename T>
HWY_INLINE void add_columns(
    const float* weights, const T* values, int64_t count, int64_t width, float* sums) {
  hn::Vec<Floats> columns[kVectors];
  for (int64_t v = 0; v < kVectors; ++v) columns[v] = hn::LoadU(kFloats, sums + v * kLanes);
  for (int64_t k = 0; k < count; ++k) {
    const auto weight = hn::Set(kFloats, weights[k]);
    for (int64_t v = 0; v < kVectors; ++v)
      columns[v] = hn::MulAdd(weight, load(values + k * width + v * kLanes), columns[v]);
  }
  for (int64_t v = 0; v < kVectors; ++v) hn::StoreU(columns[v], kFloats, sums + v * kLanes);
}

template <typename T>
HWY_INLINE void add_weighted(
    const float* weights, const T* values, int64_t count, int64_t width, float* sums) {
  int64_t i = 0;
  for (; i + 8 * kLanes <= width; i += 8 * kLanes)
    add_columns<8>(weights, values + i, count, width, sums + i);
  for (; i + 4 * kLanes <= width; i += 4 * kLanes)
    add_columns<4>(weights, values + i, count, width, sums + i);
  for (; i + kLanes <= width; i += kLanes)
    add_columns<1>(weights, values + i, count, width, sums + i);
  for (; i < width; ++i)
    for (int64_t k = 0; k < count; ++k) sums[i] += weights[k] * to_float(values[k * width + i]);
}

// Keys whose scores are held at a time.
constexpr int64_t kKeysPerBlock = 64;

// Adds keys and values of up to kKeysPerBlock rows to a head's state: [width] weighted sum, total
// weight, largest score; weights are relative to the largest.
template <typename T>
HWY_INLINE void add_block(const float* q,
                          const T* keys,
                          const T* values,
                          int64_t count,
                          int64_t width,
                          float scale,
                          float* state) {
  HWY_ALIGN float scores[kKeysPerBlock];
  int64_t k = 0;
  for (; k + kKeysTogether <= count; k += kKeysTogether)
    dots<kKeysTogether>(q, keys + k * width, width, scores + k);
  for (; k < count; ++k) dots<1>(q, keys + k * width, width, scores + k);
  float &total = state[width], &largest = state[width + 1];
  float block_largest = largest, not_finite = 0;
  for (k = 0; k < count; ++k) {
    scores[k] *= scale;
    not_finite += scores[k] * 0.0f;  // 0, or not a number: hn::Exp makes 0 of that
    block_largest = std::max(block_largest, scores[k]);
  }
  std::fill(scores + count, scores + kKeysPerBlock, -std::numeric_limits<float>::infinity());
  if (block_largest > largest && total > 0) {
    const float rescale = hn::GetLane(hn::Exp(kFloats, hn::Set(kFloats, largest - block_largest)));
    for (int64_t i = 0; i <= width; ++i) state[i] *= rescale;
  }
  largest = block_largest;
  auto weights = hn::Zero(kFloats);
  for (k = 0; k < count; k += kLanes) {
    const auto relative = hn::Sub(hn::Load(kFloats, scores + k), hn::Set(kFloats, largest));
    const auto weight = hn::Exp(kFloats, relative);
    hn::Store(weight, kFloats, scores + k);
    weights = hn::Add(weights, weight);
  }
  total += hn::GetLane(hn::SumOfLanes(kFloats, weights)) + not_finite;
  add_weighted(scores, values, count, width, state);
}

template <typename T>
HWY_INLINE void attend(const DecodeAttentionArguments& a, int64_t task) {
  const int64_t group = a.heads / a.kv_heads, width = a.head_dim;
  const int64_t head = task / a.parts;  // of keys, over all sequences
  const CachedRows& cached = a.cached[head / a.kv_heads];
  const T* keys = static_cast<const T*>(cached.keys) + head % a.kv_heads * cached.stride;
  const T* values = static_cast<const T*>(cached.values) + head % a.kv_heads * cached.stride;
  const int64_t begin = cached.first_key + task % a.parts * kKeysPerPart;
  const int64_t end = std::min(begin + kKeysPerPart, cached.num_keys);
  float* states = a.states + task * group * (width + 2);
  for (int64_t i = 0; i < group; ++i) {
    float* state = states + i * (width + 2);
    std::fill(state, state + width + 1, 0.0f);
    state[width + 1] = -std::numeric_limits<float>::infinity();
  }
  // All heads of the group over one block after the other, which stays in the nearest cache.
  for (int64_t first = begin; first < end; first += kKeysPerBlock) {
    const int64_t count = std::min(kKeysPerBlock, end - first);
    for (int64_t i = 0; i < group; ++i) {
      add_block(a.q + (head * group + i) * width,
                keys + first * width,
                values + first * width,
                count,
                width,
                a.scale,
                states + i * (width + 2));
    }
  }
}

void decode_f32(const DecodeAttentionArguments& a, int64_t first, int64_t last) {
  for (int64_t task = first; task < last; ++task) attend<float>(a, task);
}
void decode_bf16(const DecodeAttentionArguments& a, int64_t first, int64_t last) {
  for (int64_t task = first; task < last; ++task) attend<BFloat16>(a, task);
}

}  // namespace precis::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
