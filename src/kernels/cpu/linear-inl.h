// SPDX-License-Identifier: Apache-2.0
// Products of few rows with float32 and bfloat16 weights. linear.cc includes this file once for
// each instruction set, so there is no include guard.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/elements.h"
#include "kernels/cpu/prefetch_distance.h"
#include "kernels/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace precis::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
constexpr Floats kFloats;
constexpr int64_t kLanes = hn::MaxLanes(kFloats);

// Sums for kRows rows of x and kOutputs rows of the weight.
template <int64_t kRows, int64_t kOutputs>
struct Sums {
  hn::Vec<Floats> of[kRows][kOutputs];

  HWY_INLINE Sums() {
    for (auto& row : of)
      for (auto& sum : row) sum = hn::Zero(kFloats);
  }

  // x: of the first row; rows are `stride` apart.
  HWY_INLINE void add(const hn::Vec<Floats>* weights, const float* x, int64_t stride) {
    for (int64_t row = 0; row < kRows; ++row) {
      const auto inputs = hn::LoadU(kFloats, x + row * stride);
      for (int64_t output = 0; output < kOutputs; ++output)
        of[row][output] = hn::MulAdd(inputs, weights[output], of[row][output]);
    }
  }

  HWY_INLINE float total(int64_t row, int64_t output) const {
    return hn::GetLane(hn::SumOfLanes(kFloats, of[row][output]));
  }
};

// Prefetches the weight in the order of memory while kOutputs rows of it are read: the processor
// itself follows one stream of memory, not one for each of several short rows, and only to the end
// of a page.
template <int64_t kOutputs, typename T>
HWY_INLINE void prefetch(const T* weight, int64_t i) {
  constexpr int64_t kLine = 64 / sizeof(T), kRead = kLanes * 4 / static_cast<int64_t>(sizeof(T));
  const T* next = weight + kOutputs * i + kPrefetchDistance / sizeof(T);
  for (int64_t line = 0; line < kOutputs * kRead; line += kLine) hwy::Prefetch(next + line);
}

// Adds the products of whole vectors; returns the width that they cover.
template <int64_t kRows, int64_t kOutputs>
HWY_INLINE int64_t
add_products(const float* x, const float* weight, int64_t width, Sums<kRows, kOutputs>& sums) {
  int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    prefetch<kOutputs>(weight, i);
    hn::Vec<Floats> weights[kOutputs];
    for (int64_t output = 0; output < kOutputs; ++output)
      weights[output] = hn::LoadU(kFloats, weight + output * width + i);
    sums.add(weights, x + i, width);
  }
  return i;
}

// Loads two bfloat16 values a word: each becomes float32 by one operation, without a shuffle, since
// x is deinterleaved in the same way.
template <int64_t kRows, int64_t kOutputs>
HWY_INLINE int64_t
add_products(const float* x, const BFloat16* weight, int64_t width, Sums<kRows, kOutputs>& sums) {
  const hn::RebindToUnsigned<Floats> kWords;
  int64_t i = 0;
  for (; i + kLanes <= width / 2; i += kLanes) {
    prefetch<kOutputs>(weight, 2 * i);
    hn::Vec<Floats> even[kOutputs], odd[kOutputs];
    for (int64_t output = 0; output < kOutputs; ++output) {
      const auto words =
          hn::LoadU(kWords, reinterpret_cast<const uint32_t*>(weight + output * width + 2 * i));
      even[output] = hn::BitCast(kFloats, hn::ShiftLeft<16>(words));
      odd[output] = hn::BitCast(kFloats, hn::And(words, hn::Set(kWords, 0xffff0000u)));
    }
    sums.add(even, x + i, width);
    sums.add(odd, x + width / 2 + i, width);
  }
  return 2 * i;
}

HWY_INLINE float product(const float* x, const float* weight, int64_t, int64_t i) {
  return x[i] * weight[i];
}
HWY_INLINE float product(const float* x, const BFloat16* weight, int64_t width, int64_t i) {
  return x[i / 2 + i % 2 * (width / 2)] * to_float(weight[i]);
}

template <int64_t kRows, int64_t kOutputs, typename T>
HWY_INLINE void tile(const LinearArguments& a, int64_t first_row, int64_t first_output) {
  const T* weight = static_cast<const T*>(a.weight) + first_output * a.width;
  const float* x = a.x + first_row * a.width;
  Sums<kRows, kOutputs> sums;
  const int64_t done = add_products(x, weight, a.width, sums);
  for (int64_t row = 0; row < kRows; ++row) {
    float* out = a.out + (first_row + row) * a.outputs + first_output;
    for (int64_t output = 0; output < kOutputs; ++output) {
      float sum = sums.total(row, output);
      for (int64_t i = done; i < a.width; ++i)
        sum += product(x + row * a.width, weight + output * a.width, a.width, i);
      out[output] = a.bias == nullptr ? sum : sum + a.bias[first_output + output];
    }
  }
}

// Computes kRows rows at a time, from `first_row` on; returns the first row that was not computed.
template <int64_t kRows, int64_t kOutputs, typename T>
HWY_INLINE int64_t
rows_of_tiles(const LinearArguments& a, int64_t first_row, int64_t first, int64_t last) {
  for (int64_t row = first_row; row + kRows <= a.rows; row += kRows, first_row = row) {
    int64_t output = first;
    for (; output + kOutputs <= last; output += kOutputs) tile<kRows, kOutputs, T>(a, row, output);
    for (; output < last; ++output) tile<kRows, 1, T>(a, row, output);
  }
  return first_row;
}

// Weights are read from memory once, in the order of memory, since that limits the speed of few
// rows. All rows read a block of some 16 KB of weights, or of four outputs if these are wider,
// before the next block.
template <typename T>
HWY_INLINE void linear_outputs(const LinearArguments& a, int64_t first, int64_t last) {
  const int64_t block =
      std::max<int64_t>(4, 16384 / sizeof(T) / std::max<int64_t>(1, a.width) / 4 * 4);
  for (int64_t begin = first; begin < last; begin += block) {
    const int64_t end = std::min(begin + block, last);
    const int64_t row = rows_of_tiles<4, 2, T>(a, 0, begin, end);
    rows_of_tiles<1, 4, T>(a, row, begin, end);
  }
}

void linear_f32(const LinearArguments& a, int64_t first, int64_t last) {
  linear_outputs<float>(a, first, last);
}
void linear_bf16(const LinearArguments& a, int64_t first, int64_t last) {
  linear_outputs<BFloat16>(a, first, last);
}

}  // namespace precis::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
