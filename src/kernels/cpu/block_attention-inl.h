// SPDX-License-Identifier: Apache-2.0
// Attention of single query tokens over blocks of cached keys, for one instruction set: included
// once for each by block_attention.cc, so that there is no guard.
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

// out[k] = the sum of sums[k]. Four are added up together: neighbours in each block of four lanes
// first, so that a block holds a sum of each vector, then the blocks. (Names are looked up by their
// arguments: what has one lane knows none of these.)
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
  store_sums<kKeys>(kFloats, sums, scores);
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

// A head's state of up to kBlockSize keys: [width] weighted sum, total weight, largest score;
// weights are relative to the largest.
template <typename T>
HWY_INLINE void attend_keys(const float* q,
                            const T* keys,
                            const T* values,
                            int64_t count,
                            int64_t width,
                            float scale,
                            float* state) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  HWY_ALIGN float scores[kBlockSize];
  int64_t k = 0;
  for (; k + kKeysTogether <= count; k += kKeysTogether)
    dots<kKeysTogether>(q, keys + k * width, width, scores + k);
  for (; k < count; ++k) dots<1>(q, keys + k * width, width, scores + k);
  std::fill(scores + count, scores + kBlockSize, scores[0]);  // changes neither of these
  auto not_finite = hn::Zero(kFloats), highest = hn::Set(kFloats, -kInfinity);
  for (k = 0; k < count; k += kLanes) {
    const auto scaled = hn::Mul(hn::Load(kFloats, scores + k), hn::Set(kFloats, scale));
    hn::Store(scaled, kFloats, scores + k);
    // 0, or not a number: hn::Exp makes 0 of that.
    not_finite = hn::MulAdd(scaled, hn::Zero(kFloats), not_finite);
    highest = hn::Max(highest, scaled);
  }
  const auto largest = hn::MaxOfLanes(kFloats, highest);
  std::fill(scores + count, scores + kBlockSize, -kInfinity);
  auto weights = not_finite;
  for (k = 0; k < count; k += kLanes) {
    const auto weight = hn::Exp(kFloats, hn::Sub(hn::Load(kFloats, scores + k), largest));
    hn::Store(weight, kFloats, scores + k);
    weights = hn::Add(weights, weight);
  }
  std::fill(state, state + width, 0.0f);
  add_weighted(scores, values, count, width, state);
  state[width] = hn::GetLane(hn::SumOfLanes(kFloats, weights));
  state[width + 1] = hn::GetLane(largest);
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
    keys += (2 * a.layer * a.kv_heads + head) * size;
    return {keys, keys + a.kv_heads * size, kBlockSize};
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
    const int64_t place = (reader.query * a.kv_heads + head) * a.parts + reader.part;
    const float* q = a.q + (reader.query * a.heads + head * group) * width;
    float* state = a.states + place * group * (width + 2);
    for (int64_t k = 0; k < group; ++k, q += width, state += width + 2) {
      if (count > 0) {
        const int64_t offset = reader.begin * width;
        attend_keys(q, own.keys + offset, own.values + offset, count, width, a.scale, state);
      } else {  // a head of a ragged memory that has no tokens here
        std::fill(state, state + width + 1, 0.0f);
        state[width + 1] = -std::numeric_limits<float>::infinity();
      }
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
