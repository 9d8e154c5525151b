// SPDX-License-Identifier: Apache-2.0
// Products of few rows with int8 and int4 weights. quantized_linear.cc includes this file once for
// each instruction set, so there is no include guard.
//
// A lane computes an output: unpacked weights serve all rows, and no sum crosses lanes. In memory
// an output's weights are together, so 16 bytes of each output are transposed first.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/cpu/elements.h"
#include "kernels/cpu/prefetch_distance.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace precis::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows that share unpacked weights: as many as there are registers for.
constexpr int64_t kMostRows = hn::MaxLanes(hn::ScalableTag<uint32_t>()) >= 16 ? 8 : 4;

// sums + codes * x, neighbours added in pairs. With VNNI this is one instruction, where Highway 1.0
// emits two: its target does not enable VNNI in the compiler, hence the assembly.
template <class Int, class Codes, class Sums>
HWY_INLINE Sums add_pairs(Int kInt, Codes codes, Codes x, Sums sums) {
  if constexpr (HWY_TARGET == HWY_AVX3_DL) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sums.raw) : "v"(codes.raw), "v"(x.raw));
    return sums;
  } else {
    auto others = hn::Zero(kInt);  // some targets sum every other product separately
    sums = hn::ReorderWidenMulAccumulate(kInt, codes, x, sums, others);
    return hn::Add(sums, others);
  }
}

// Words: a vector with 32 bits of each of some outputs. A template, so that it is not compiled for
// targets without vectors, where Highway lacks the functions that are called unqualified here
// (found by argument-dependent lookup).
template <class Words>
struct Tile {
  using Pairs = hn::Repartition<int16_t, Words>;  // two neighbours of each output
  using Int = hn::RebindToSigned<Words>;
  using Float = hn::RebindToFloat<Words>;
  static constexpr int64_t kOutputs = hn::MaxLanes(Words());
  static constexpr int64_t kStep = 16;  // bytes of each output that are transposed at a time
  static constexpr int64_t kWords = 4;  // of a step
  static constexpr int64_t kHalves = kStep / 2;  // float16 values of a step

  const QuantizedLinearArguments& a;
  int64_t first, count;  // outputs; lanes beyond them repeat the last
  const uint8_t* places[kOutputs];
  int64_t ahead;  // outputs, to the tile that is prefetched

  Tile(const QuantizedLinearArguments& a, int64_t first, int64_t last)
      : a(a), first(first), count(std::min(kOutputs, last - first)) {
    const int64_t bytes = a.weight.width * a.weight.bits / 8;
    for (int64_t i = 0; i < kOutputs; ++i)
      places[i] = static_cast<const uint8_t*>(a.weight.codes) + output(i) * bytes;
    ahead = (kPrefetchDistance / (kOutputs * bytes) + 1) * kOutputs;
  }

  int64_t output(int64_t i) const { return first + std::min(i, count - 1); }

  // Loads 16 bytes at `offset` from every fourth place.
  template <class D>
  static HWY_INLINE hn::Vec<D> load(D d, const uint8_t* const* from, int64_t offset) {
    if constexpr (hn::MaxLanes(D()) == 4) {
      return hn::LoadU(d, reinterpret_cast<const uint32_t*>(from[0] + offset));
    } else {
      const hn::Half<D> half;
      return Combine(d, load(half, from + hn::MaxLanes(D()) / 2, offset), load(half, from, offset));
    }
  }

  // Transposes the 16 bytes at `offset` from each place: words[i] holds the i-th word of each.
  static HWY_INLINE void transpose(const uint8_t* const* from,
                                   int64_t offset,
                                   hn::Vec<Words>* words) {
    const Words kWord;
    const hn::Repartition<uint64_t, Words> kTwo;
    const auto a = load(kWord, from, offset), b = load(kWord, from + 1, offset),
               c = load(kWord, from + 2, offset), d = load(kWord, from + 3, offset);
    const auto lower_ab = hn::BitCast(kTwo, InterleaveLower(kWord, a, b)),
               upper_ab = hn::BitCast(kTwo, InterleaveUpper(kWord, a, b)),
               lower_cd = hn::BitCast(kTwo, InterleaveLower(kWord, c, d)),
               upper_cd = hn::BitCast(kTwo, InterleaveUpper(kWord, c, d));
    words[0] = hn::BitCast(kWord, InterleaveLower(kTwo, lower_ab, lower_cd));
    words[1] = hn::BitCast(kWord, InterleaveUpper(kTwo, lower_ab, lower_cd));
    words[2] = hn::BitCast(kWord, InterleaveLower(kTwo, upper_ab, upper_cd));
    words[3] = hn::BitCast(kWord, InterleaveUpper(kTwo, upper_ab, upper_cd));
  }

  // Prefetches what a later tile reads at `offset` from these places, of outputs of `bytes` each. A
  // call prefetches a cache line of some outputs, the following calls those of the others, until
  // the offset is a line further.
  HWY_INLINE void prefetch(const uint8_t* const* from, int64_t offset, int64_t bytes) const {
    constexpr int64_t kLine = 64, kSteps = kLine / kStep, kShare = kOutputs / kSteps;
    const int64_t begin = offset / kStep % kSteps * kShare;
    const int64_t line = ahead * bytes + offset / kLine * kLine;
    for (int64_t i = begin; i < begin + kShare; ++i)
      hwy::Prefetch(reinterpret_cast<const char*>(from[i]) + line);
  }

  // Sums of each row, with several accumulators a row: additions to one depend on each other.
  template <int64_t kRows>
  struct Sums {
    static constexpr int64_t kAccumulators = kRows == 1 ? 4 : (kRows < 4 ? 4 / kRows : 1);
    hn::Vec<Int> of[kRows][kAccumulators];

    HWY_INLINE Sums() {
      for (auto& row : of)
        for (auto& sum : row) sum = hn::Zero(Int());
    }

    // Adds the products of two codes of each output with two of each row; rows are `stride` apart,
    // x is the first.
    template <int64_t kAccumulator>
    HWY_INLINE void add(hn::Vec<Words> pair, const int16_t* x, int64_t stride) {
      const Pairs kPairs;
      for (int64_t row = 0; row < kRows; ++row) {
        int32_t both;
        std::memcpy(&both, x + row * stride, sizeof(both));
        auto& sum = of[row][kAccumulator % kAccumulators];
        sum = add_pairs(
            Int(), hn::BitCast(kPairs, pair), hn::BitCast(kPairs, hn::Set(Int(), both)), sum);
      }
    }

    HWY_INLINE hn::Vec<Float> row(int64_t row) const {
      auto sum = of[row][0];
      for (int64_t i = 1; i < kAccumulators; ++i) sum = hn::Add(sum, of[row][i]);
      return hn::ConvertTo(Float(), sum);
    }
  };

  static HWY_INLINE hn::Vec<Words> even_int8(hn::Vec<Words> words) {
    const auto codes = hn::BitCast(Pairs(), words);
    return hn::BitCast(Words(), hn::ShiftRight<8>(hn::ShiftLeft<8>(codes)));
  }
  static HWY_INLINE hn::Vec<Words> odd_int8(hn::Vec<Words> words) {
    return hn::BitCast(Words(), hn::ShiftRight<8>(hn::BitCast(Pairs(), words)));
  }

  // Adds 16 codes of each output. even, odd: the first row's codes with even and with odd indices.
  template <int64_t kRows>
  HWY_INLINE void add_int8(const hn::Vec<Words>* words,
                           const int16_t* even,
                           const int16_t* odd,
                           Sums<kRows>& sums) const {
    const int64_t stride = a.weight.width;
    for (int64_t i = 0; i < kWords; i += 2) {
      sums.template add<0>(even_int8(words[i]), even + 2 * i, stride);
      sums.template add<1>(odd_int8(words[i]), odd + 2 * i, stride);
      sums.template add<2>(even_int8(words[i + 1]), even + 2 * i + 2, stride);
      sums.template add<3>(odd_int8(words[i + 1]), odd + 2 * i + 2, stride);
    }
  }

  // Adds a group of each output.
  template <int64_t kRows>
  HWY_INLINE void add_int4(const hn::Vec<Words>* words, const int16_t* x, Sums<kRows>& sums) const {
    constexpr int64_t kUpper = kQuantizedGroup / 4, kOdd = kQuantizedGroup / 2;
    const auto codes = hn::Set(Words(), 0x000f000fu);
    const int64_t stride = a.weight.width;
    for (int64_t i = 0; i < kWords; ++i) {
      const auto word = words[i];
      const int16_t* const own = x + 2 * i;
      sums.template add<0>(hn::And(word, codes), own, stride);
      sums.template add<1>(hn::And(hn::ShiftRight<8>(word), codes), own + kOdd, stride);
      sums.template add<2>(hn::And(hn::ShiftRight<4>(word), codes), own + kUpper, stride);
      sums.template add<3>(hn::And(hn::ShiftRight<12>(word), codes), own + kUpper + kOdd, stride);
    }
  }

  template <int64_t kRows>
  HWY_INLINE void put(int64_t first_row, const hn::Vec<Float>* totals) const {
    const Float kFloat;
    for (int64_t row = 0; row < kRows; ++row) {
      float sums[kOutputs];
      hn::StoreU(totals[row], kFloat, sums);
      float* const out = a.out + (first_row + row) * a.outputs + first;
      for (int64_t i = 0; i < count; ++i)
        out[i] = a.bias == nullptr ? sums[i] : sums[i] + a.bias[first + i];
    }
  }

  template <int64_t kRows>
  HWY_INLINE void int8_rows(int64_t first_row) const {
    const Float kFloat;
    const int64_t width = a.weight.width, blocks = width / a.block;
    const int16_t* const x = a.x_codes + first_row * width;
    const float* const x_scales = a.x_scales + first_row * blocks;
    hn::Vec<Float> totals[kRows];
    for (auto& total : totals) total = hn::Zero(kFloat);
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = block * a.block;
      Sums<kRows> sums;
      for (int64_t i = 0; i < a.block; i += kStep) {
        if (first_row == 0) prefetch(places, begin + i, width);
        hn::Vec<Words> words[kWords];
        transpose(places, begin + i, words);
        const int16_t* const even = x + begin + i / 2;
        add_int8<kRows>(words, even, even + a.block / 2, sums);
      }
      for (int64_t row = 0; row < kRows; ++row) {
        const auto scale = hn::Set(kFloat, x_scales[row * blocks + block]);
        totals[row] = hn::MulAdd(sums.row(row), scale, totals[row]);
      }
    }
    float scales[kOutputs];
    for (int64_t i = 0; i < kOutputs; ++i) scales[i] = a.weight.scales[output(i)];
    for (auto& total : totals) total = hn::Mul(total, hn::LoadU(kFloat, scales));
    put<kRows>(first_row, totals);
  }

  // Float16 values (scales or mins) of kHalves groups of each output, from `group` on, as floats; 0
  // after the last group.
  HWY_INLINE void widen(const uint16_t* halves, int64_t group, hn::Vec<Float>* out) const {
    const Float kFloat;
    const hn::Rebind<uint16_t, Words> kShort;
    const hn::Rebind<hwy::float16_t, Words> kHalf;
    const int64_t groups = a.weight.width / kQuantizedGroup;
    const int64_t bytes = groups * static_cast<int64_t>(sizeof(uint16_t)), offset = 2 * group;
    const uint8_t* from[kOutputs];
    for (int64_t i = 0; i < kOutputs; ++i)
      from[i] = reinterpret_cast<const uint8_t*>(halves) + output(i) * bytes;
    prefetch(from, offset, bytes);
    uint8_t rest[kOutputs][kStep] = {};
    for (int64_t i = 0; i < kOutputs; ++i) {
      from[i] += offset;
      if (offset + kStep <= bytes) continue;
      std::memcpy(rest[i], from[i], bytes - offset);
      from[i] = rest[i];
    }
    hn::Vec<Words> words[kWords];
    transpose(from, 0, words);
    const auto half = hn::Set(Words(), 0xffffu);
    for (int64_t i = 0; i < kWords; ++i) {
      const auto even = hn::And(words[i], half), odd = hn::ShiftRight<16>(words[i]);
      out[2 * i] = hn::PromoteTo(kFloat, hn::BitCast(kHalf, hn::TruncateTo(kShort, even)));
      out[2 * i + 1] = hn::PromoteTo(kFloat, hn::BitCast(kHalf, hn::TruncateTo(kShort, odd)));
    }
  }

  template <int64_t kRows>
  HWY_INLINE void int4_rows(int64_t first_row) const {
    const Float kFloat;
    const int64_t width = a.weight.width, groups = width / kQuantizedGroup;
    const int16_t* const x = a.x_codes + first_row * width;
    hn::Vec<Float> totals[kRows];
    for (auto& total : totals) total = hn::Zero(kFloat);
    for (int64_t begin = 0; begin < groups; begin += kHalves) {
      hn::Vec<Float> scales[kHalves], mins[kHalves];
      widen(a.weight.group_scales, begin, scales);
      widen(a.weight.group_mins, begin, mins);
      for (int64_t group = begin; group < std::min(begin + kHalves, groups); ++group) {
        if (first_row == 0) prefetch(places, group * kStep, width / 2);
        Sums<kRows> sums;
        hn::Vec<Words> words[kWords];
        transpose(places, group * kStep, words);
        add_int4<kRows>(words, x + group * kQuantizedGroup, sums);
        for (int64_t row = 0; row < kRows; ++row) {
          const int64_t own = (first_row + row) * groups + group;
          const auto scale = hn::Mul(scales[group - begin], hn::Set(kFloat, a.x_scales[own]));
          const auto minimum = mins[group - begin];
          totals[row] = hn::MulAdd(minimum, hn::Set(kFloat, a.x_sums[own]), totals[row]);
          totals[row] = hn::MulAdd(sums.row(row), scale, totals[row]);
        }
      }
    }
    put<kRows>(first_row, totals);
  }

  template <int64_t kRows>
  HWY_INLINE void rows_from(int64_t first_row) const {
    a.weight.bits == 4 ? int4_rows<kRows>(first_row) : int8_rows<kRows>(first_row);
  }
};

// For targets without vectors.
float product(const QuantizedLinearArguments& a, int64_t row, int64_t output) {
  constexpr int64_t kHalf = kQuantizedGroup / 2;
  const QuantizedMatrix& w = a.weight;
  const uint8_t* const codes = static_cast<const uint8_t*>(w.codes) + output * w.width * w.bits / 8;
  const int16_t* const x = a.x_codes + row * w.width;
  const int64_t blocks = w.width / a.block;
  float total = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    int32_t sum = 0;
    for (int64_t i = block * a.block; i < (block + 1) * a.block; ++i) {
      const bool upper = i % kQuantizedGroup >= kHalf;
      const uint8_t both = codes[w.bits == 8 ? i : i / kQuantizedGroup * kHalf + i % kHalf];
      const int32_t code = w.bits == 8 ? static_cast<int8_t>(both) : upper ? both >> 4 : both & 15;
      const int64_t own = i - block * a.block;
      sum += code * x[block * a.block + own / 2 + own % 2 * (a.block / 2)];
    }
    const float own = static_cast<float>(sum) * a.x_scales[row * blocks + block];
    if (w.bits == 8) {
      total += own * w.scales[output];
      continue;
    }
    const int64_t group = output * blocks + block;
    total += own * of_float16(w.group_scales[group]) +
             a.x_sums[row * blocks + block] * of_float16(w.group_mins[group]);
  }
  return total;
}

// Computes the rows from `row` on, at most kMostRows.
template <class Words, size_t... kLess>
HWY_INLINE void rows_from(const Tile<Words>& tile, int64_t row, std::index_sequence<kLess...>) {
  const size_t rest = std::min<int64_t>(kMostRows, tile.a.rows - row);
  ((rest == kLess + 1 ? tile.template rows_from<kLess + 1>(row) : void()), ...);
}

template <class Words>
void outputs_by(const QuantizedLinearArguments& a, int64_t first, int64_t last) {
  if constexpr (hn::MaxLanes(Words()) < 4) {
    for (int64_t row = 0; row < a.rows; ++row)
      for (int64_t i = first; i < last; ++i)
        a.out[row * a.outputs + i] = product(a, row, i) + (a.bias == nullptr ? 0 : a.bias[i]);
  } else {
    for (int64_t output = first; output < last; output += Tile<Words>::kOutputs) {
      const Tile<Words> tile(a, output, last);
      for (int64_t row = 0; row < a.rows; row += kMostRows)
        rows_from(tile, row, std::make_index_sequence<kMostRows>());
    }
  }
}

void quantized_outputs(const QuantizedLinearArguments& a, int64_t first, int64_t last) {
  outputs_by<hn::CappedTag<uint32_t, kOutputsPerTile>>(a, first, last);
}

}  // namespace precis::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
