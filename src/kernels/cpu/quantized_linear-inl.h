// SPDX-License-Identifier: Apache-2.0
// Products of few rows with int8 and int4 weights, for one instruction set: included once for each
// by quantized_linear.cc, so that there is no guard.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/prefetch_distance.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace precis::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors of codes, and of their sums. At most what is read of a group at a time, so that a group
// is one or more vectors whatever the processor has.
template <int64_t kMost>
struct Vectors {
  using Short = hn::CappedTag<int16_t, kMost>;
  using Int = hn::RepartitionToWide<Short>;
  using Float = hn::RebindToFloat<Int>;
  static constexpr int64_t kLanes = hn::MaxLanes(Short());
};
using Int8Vectors = Vectors<kQuantizedGroup>;
using Int4Vectors = Vectors<kQuantizedGroup / 2>;

// Rows that share what is unpacked of a weight.
constexpr int64_t kRowsTogether = 4;
// Outputs with int8 codes that share what is loaded of rows.
constexpr int64_t kOutputsTogether = 2;

// Asks for the line of the weight that is read some microseconds later.
HWY_INLINE void prefetch(const void* codes) {
  hwy::Prefetch(static_cast<const char*>(codes) + kPrefetchDistance);
}
constexpr int64_t kLineBytes = 64;  // bytes
constexpr int64_t kGroupsOfLine = kLineBytes / (kQuantizedGroup / 2);

// sums + codes * x, neighbours added in pairs. One instruction where the processor has VNNI, which
// Highway 1.0 makes two of: its target does not let the compiler know, so that it is named here.
template <class Int, class Codes, class Sums>
HWY_INLINE Sums add_pairs(Int kInt, Codes codes, Codes x, Sums sums) {
  if constexpr (HWY_TARGET == HWY_AVX3_DL) {
    asm("vpdpwssd %2, %1, %0" : "+v"(sums.raw) : "v"(codes.raw), "v"(x.raw));
    return sums;
  } else {
    auto others = hn::Zero(kInt);  // some processors sum every other product apart
    sums = hn::ReorderWidenMulAccumulate(kInt, codes, x, sums, others);
    return hn::Add(sums, others);
  }
}

struct RowsOfBlock {
  const int16_t* codes;
  int64_t stride;  // from one row to the next
};

// Adds codes [kShort lanes] times each row's to the row's sums.
template <int64_t kRows, class Own, class V>
HWY_INLINE void add_products(V codes, RowsOfBlock x, hn::Vec<typename Own::Int>* sums) {
  const typename Own::Short kShort;
  const typename Own::Int kInt;
  for (int64_t row = 0; row < kRows; ++row) {
    sums[row] = add_pairs(kInt, codes, hn::LoadU(kShort, x.codes + row * x.stride), sums[row]);
  }
}

HWY_INLINE void put(const QuantizedLinearArguments& a, int64_t row, int64_t output, float sum) {
  a.out[row * a.outputs + output] = a.bias == nullptr ? sum : sum + a.bias[output];
}

// out[row] for kRows rows from `first_row` on, of kOutputs outputs with int8 codes: what is loaded
// of a row serves all of these.
template <int64_t kRows, int64_t kOutputs>
HWY_INLINE void int8_outputs(const QuantizedLinearArguments& a, int64_t first_row, int64_t output) {
  using Own = Int8Vectors;
  const typename Own::Short kShort;
  const typename Own::Int kInt;
  const typename Own::Float kFloat;
  const hn::Rebind<int8_t, typename Own::Short> kByte;
  const int64_t width = a.weight.width, blocks = width / a.block;
  const int8_t* weight = static_cast<const int8_t*>(a.weight.codes) + output * width;
  const int16_t* x = a.x_codes + first_row * width;
  const float* scales = a.x_scales + first_row * blocks;
  hn::Vec<typename Own::Float> totals[kOutputs][kRows];
  for (auto& own : totals)
    for (auto& total : own) total = hn::Zero(kFloat);
  for (int64_t block = 0; block < blocks; ++block) {
    hn::Vec<typename Own::Int> sums[kOutputs][kRows];
    for (auto& own : sums)
      for (auto& sum : own) sum = hn::Zero(kInt);
    for (int64_t i = block * a.block; i < (block + 1) * a.block; i += Own::kLanes) {
      // What lies kOutputs times as far on in the order in which it is read.
      if (i % kLineBytes == 0)
        for (int64_t own = 0; own < kOutputs; ++own)
          prefetch(weight + kOutputs * i + own * kLineBytes);
      hn::Vec<typename Own::Short> codes[kOutputs];
      for (int64_t own = 0; own < kOutputs; ++own)
        codes[own] = hn::PromoteTo(kShort, hn::LoadU(kByte, weight + own * width + i));
      for (int64_t row = 0; row < kRows; ++row) {
        const auto numbers = hn::LoadU(kShort, x + row * width + i);
        for (int64_t own = 0; own < kOutputs; ++own)
          sums[own][row] = add_pairs(kInt, codes[own], numbers, sums[own][row]);
      }
    }
    for (int64_t row = 0; row < kRows; ++row) {
      const auto scale = hn::Set(kFloat, scales[row * blocks + block]);
      for (int64_t own = 0; own < kOutputs; ++own)
        totals[own][row] =
            hn::MulAdd(hn::ConvertTo(kFloat, sums[own][row]), scale, totals[own][row]);
    }
  }
  for (int64_t own = 0; own < kOutputs; ++own) {
    for (int64_t row = 0; row < kRows; ++row) {
      const float sum = hn::GetLane(hn::SumOfLanes(kFloat, totals[own][row]));
      put(a, first_row + row, output + own, a.weight.scales[output + own] * sum);
    }
  }
}

// float16 numbers as floats. out: room for kGroupsTogether.
constexpr int64_t kGroupsTogether = 64;
HWY_INLINE void widen(const uint16_t* in, int64_t count, float* out) {
  using Float = Int4Vectors::Float;
  const Float kFloat;
  constexpr int64_t kFloatLanes = hn::MaxLanes(Float());
  const hn::Rebind<hwy::float16_t, Float> kHalf;
  int64_t i = 0;
  for (; i + kFloatLanes <= count; i += kFloatLanes) {
    const auto half = hn::LoadU(kHalf, reinterpret_cast<const hwy::float16_t*>(in + i));
    hn::StoreU(hn::PromoteTo(kFloat, half), kFloat, out + i);
  }
  if (i == count) return;
  uint16_t rest[kFloatLanes] = {};
  std::copy(in + i, in + count, rest);
  const auto half = hn::LoadU(kHalf, reinterpret_cast<const hwy::float16_t*>(rest));
  hn::StoreU(hn::PromoteTo(kFloat, half), kFloat, out + i);
}

// Sums of one group's int4 codes times each row's. Byte i holds code i in its lower and code i + 16
// in its upper half.
template <int64_t kRows>
HWY_INLINE void int4_group(const uint8_t* weight, RowsOfBlock x, hn::Vec<Int4Vectors::Int>* sums) {
  using Own = Int4Vectors;
  const Own::Short kShort;
  const Own::Int kInt;
  const hn::RebindToUnsigned<Own::Short> kUnsigned;
  const hn::Rebind<uint8_t, Own::Short> kByte;
  constexpr int64_t kHalf = kQuantizedGroup / 2;
  for (int64_t row = 0; row < kRows; ++row) sums[row] = hn::Zero(kInt);
  for (int64_t i = 0; i < kHalf; i += Own::kLanes) {
    const auto both = hn::PromoteTo(kUnsigned, hn::LoadU(kByte, weight + i));
    const auto lower = hn::BitCast(kShort, hn::And(both, hn::Set(kUnsigned, 15)));
    const auto upper = hn::BitCast(kShort, hn::ShiftRight<4>(both));
    add_products<kRows, Own>(lower, {x.codes + i, x.stride}, sums);
    add_products<kRows, Own>(upper, {x.codes + kHalf + i, x.stride}, sums);
  }
}

// factors[i] = scales[i] * x_scales[i]; returns the sum of minima[i] * x_sums[i].
HWY_INLINE float group_factors(const float* scales,
                               const float* minima,
                               const float* x_scales,
                               const float* x_sums,
                               int64_t count,
                               float* factors) {
  using Float = Int4Vectors::Float;
  const Float kFloat;
  constexpr int64_t kFloatLanes = hn::MaxLanes(Float());
  auto offsets = hn::Zero(kFloat);
  int64_t i = 0;
  for (; i + kFloatLanes <= count; i += kFloatLanes) {
    const auto factor = hn::Mul(hn::LoadU(kFloat, scales + i), hn::LoadU(kFloat, x_scales + i));
    hn::StoreU(factor, kFloat, factors + i);
    offsets = hn::MulAdd(hn::LoadU(kFloat, minima + i), hn::LoadU(kFloat, x_sums + i), offsets);
  }
  float offset = hn::GetLane(hn::SumOfLanes(kFloat, offsets));
  for (; i < count; ++i) {
    factors[i] = scales[i] * x_scales[i];
    offset += minima[i] * x_sums[i];
  }
  return offset;
}

// out[row] for kRows rows from `first_row` on, of one output with int4 codes.
template <int64_t kRows>
HWY_INLINE void int4_output(const QuantizedLinearArguments& a, int64_t first_row, int64_t output) {
  const int64_t groups = a.weight.width / kQuantizedGroup;
  const uint8_t* weight = static_cast<const uint8_t*>(a.weight.codes) + output * a.weight.width / 2;
  const Int4Vectors::Float kFloat;
  float scales[kGroupsTogether], minima[kGroupsTogether], factors[kRows][kGroupsTogether];
  hn::Vec<Int4Vectors::Float> totals[kRows];
  float offsets[kRows] = {};
  for (int64_t row = 0; row < kRows; ++row) totals[row] = hn::Zero(kFloat);
  for (int64_t first = 0; first < groups; first += kGroupsTogether) {
    const int64_t count = std::min(kGroupsTogether, groups - first);
    widen(a.weight.group_scales + output * groups + first, count, scales);
    widen(a.weight.group_minima + output * groups + first, count, minima);
    for (int64_t row = 0; row < kRows; ++row) {
      const int64_t own = (first_row + row) * groups + first;
      offsets[row] +=
          group_factors(scales, minima, a.x_scales + own, a.x_sums + own, count, factors[row]);
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t group = first + i;
      hn::Vec<Int4Vectors::Int> sums[kRows];
      if (group % kGroupsOfLine == 0) prefetch(weight + group * kQuantizedGroup / 2);
      const int16_t* x = a.x_codes + first_row * a.weight.width + group * kQuantizedGroup;
      int4_group<kRows>(weight + group * kQuantizedGroup / 2, {x, a.weight.width}, sums);
      for (int64_t row = 0; row < kRows; ++row) {
        totals[row] = hn::MulAdd(
            hn::ConvertTo(kFloat, sums[row]), hn::Set(kFloat, factors[row][i]), totals[row]);
      }
    }
  }
  for (int64_t row = 0; row < kRows; ++row) {
    const float sum = hn::GetLane(hn::SumOfLanes(kFloat, totals[row]));
    put(a, first_row + row, output, offsets[row] + sum);
  }
}

template <int64_t kRows>
HWY_INLINE void outputs_of_rows(const QuantizedLinearArguments& a,
                                int64_t first_row,
                                int64_t first,
                                int64_t last) {
  if (a.weight.bits == 4) {
    for (int64_t output = first; output < last; ++output) int4_output<kRows>(a, first_row, output);
    return;
  }
  constexpr int64_t kTogether = kRows > 1 ? kOutputsTogether : 1;
  int64_t output = first;
  for (; output + kTogether <= last; output += kTogether)
    int8_outputs<kRows, kTogether>(a, first_row, output);
  for (; output < last; ++output) int8_outputs<kRows, 1>(a, first_row, output);
}

void quantized_outputs(const QuantizedLinearArguments& a, int64_t first, int64_t last) {
  // As many outputs at a time as stay in the nearest cache while all rows read them.
  const int64_t outputs_together = std::max<int64_t>(1, 16384 / a.weight.width);
  for (int64_t begin = first; begin < last; begin += outputs_together) {
    const int64_t end = std::min(begin + outputs_together, last);
    int64_t row = 0;
    for (; row + kRowsTogether <= a.rows; row += kRowsTogether)
      outputs_of_rows<kRowsTogether>(a, row, begin, end);
    for (; row < a.rows; ++row) outputs_of_rows<1>(a, row, begin, end);
  }
}

}  // namespace precis::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
