// SPDX-License-Identifier: Apache-2.0
// Kernels that quantise and dequantise; compiled like those in kernels_cpu.cc.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/cpu/elements.h"
#include "kernels/cpu/quantization.h"

namespace precis::kernels {
namespace {

// The grid of a group: value = scale * code + minimum.
struct Grid {
  float scale;
  float minimum;

  [[gnu::always_inline]] float code(float x) const {
    const float code = __builtin_rintf((x - minimum) / (scale > 1e-30f ? scale : 1e-30f));
    return code < 0.0f ? 0.0f : (code > 15.0f ? 15.0f : code);
  }
};

[[gnu::always_inline]] inline Grid nearest_grid(const float* x) {
  constexpr int kFinest = 15, kCoarsest = 8;  // steps
  float low = x[0], high = x[0];
  for (int64_t i = 0; i < kQuantizedGroup; ++i) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
  }
  const float minimum = of_float16(to_float16(low));
  Grid best{0, minimum};
  float least = INFINITY;
  for (int steps = kFinest; steps >= kCoarsest; --steps) {
    const Grid grid{of_float16(to_float16((high - low) / static_cast<float>(steps))), minimum};
    float error = 0;
    for (int64_t i = 0; i < kQuantizedGroup; ++i) {
      const float apart = grid.code(x[i]) * grid.scale + grid.minimum - x[i];
      error += apart * apart;
    }
    if (error < least) {
      least = error;
      best = grid;
    }
  }
  return best;
}

[[gnu::always_inline]] inline void quantize_int4_rows(const QuantizeInt4Arguments& a,
                                                      int64_t first,
                                                      int64_t last) {
  constexpr int64_t kHalf = kQuantizedGroup / 2;
  const int64_t groups = a.width / kQuantizedGroup;
  for (int64_t group = first * groups; group < last * groups; ++group) {
    const float* x = a.x + group * kQuantizedGroup;
    const Grid grid = nearest_grid(x);
    a.scales[group] = to_float16(grid.scale);
    a.mins[group] = to_float16(grid.minimum);
    for (int64_t i = 0; i < kHalf; ++i) {
      const auto lower = static_cast<int32_t>(grid.code(x[i])),
                 upper = static_cast<int32_t>(grid.code(x[i + kHalf]));
      a.codes[group * kHalf + i] = static_cast<uint8_t>(lower | upper << 4);
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline void dequantize_outputs(const DequantizeArguments& a,
                                                      int64_t first,
                                                      int64_t last) {
  constexpr int64_t kHalf = kQuantizedGroup / 2;
  for (int64_t output = first; output < last; ++output) {
    T* out = static_cast<T*>(a.out) + output * a.weight.width;
    if (a.weight.bits == 8) {
      const int8_t* codes = static_cast<const int8_t*>(a.weight.codes) + output * a.weight.width;
      for (int64_t i = 0; i < a.weight.width; ++i)
        store(out + i, a.weight.scales[output] * static_cast<float>(codes[i]));
      continue;
    }
    const uint8_t* bytes =
        static_cast<const uint8_t*>(a.weight.codes) + output * a.weight.width / 2;
    const int64_t groups = a.weight.width / kQuantizedGroup;
    for (int64_t group = 0; group < groups; ++group) {
      const float scale = of_float16(a.weight.group_scales[output * groups + group]),
                  minimum = of_float16(a.weight.group_mins[output * groups + group]);
      for (int64_t i = 0; i < kHalf; ++i) {
        const uint8_t byte = bytes[group * kHalf + i];
        store(out + group * kQuantizedGroup + i, scale * static_cast<float>(byte & 15) + minimum);
        store(out + group * kQuantizedGroup + kHalf + i,
              scale * static_cast<float>(byte >> 4) + minimum);
      }
    }
  }
}

// kSize is a template argument, so that the compiler unrolls the loops.
template <int64_t kSize, typename T>
[[gnu::always_inline]] inline void quantize_block(const T* x, int16_t* codes, float* scale) {
  constexpr float kLargestCode = 32767.0f;
  // Magnitudes are ordered like their bits, with what is not finite above all others. The maximum
  // of integers vectorises, that of floats does not.
  int32_t bits = 0;
  for (int64_t i = 0; i < kSize; ++i) {
    const int32_t magnitude = std::bit_cast<int32_t>(to_float(x[i])) & 0x7fffffff;
    bits = magnitude > bits ? magnitude : bits;
  }
  const float largest = std::bit_cast<float>(bits);
  const bool finite = bits < std::bit_cast<int32_t>(std::numeric_limits<float>::infinity());
  const float inverse = finite && largest > 1e-30f ? kLargestCode / largest : 0.0f;
  *scale = finite ? largest / kLargestCode : std::numeric_limits<float>::quiet_NaN();
  for (int64_t i = 0; i < kSize; ++i) {
    const float value = finite ? to_float(x[i]) : 1.0f;
    codes[i] = static_cast<int16_t>(static_cast<int32_t>(__builtin_rintf(value * inverse)));
  }
}

// Elements with even indices first, then the odd ones.
template <int64_t kSize>
[[gnu::always_inline]] inline void deinterleave(int16_t* codes) {
  uint32_t pairs[kSize / 2];
  std::memcpy(pairs, codes, sizeof(pairs));
  for (int64_t i = 0; i < kSize / 2; ++i) {
    codes[i] = static_cast<int16_t>(pairs[i]);
    codes[kSize / 2 + i] = static_cast<int16_t>(pairs[i] >> 16);
  }
}

template <int64_t kBlock, typename T>
[[gnu::always_inline]] inline void quantize_row(const T* x,
                                                int64_t width,
                                                int16_t* codes,
                                                float* scales) {
  for (int64_t block = 0; block < width / kBlock; ++block)
    quantize_block<kBlock>(x + block * kBlock, codes + block * kBlock, scales + block);
  // In a loop of its own: reading codes that have just been written would stall, and reading every
  // other value of x would not vectorise.
  for (int64_t block = 0; block < width / kBlock; ++block)
    deinterleave<kBlock>(codes + block * kBlock);
}

template <typename T>
[[gnu::always_inline]] inline void quantize(const QuantizeRowsArguments& a,
                                            int64_t first,
                                            int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    int16_t* const codes = a.codes + row * a.width;
    float* const scales = a.scales + row * (a.width / a.block);
    const auto row_of = a.block == 128  ? quantize_row<128, T>
                        : a.block == 64 ? quantize_row<64, T>
                                        : quantize_row<32, T>;
    row_of(x, a.width, codes, scales);
    if (a.sums == nullptr) continue;
    for (int64_t group = 0; group < a.width / kQuantizedGroup; ++group) {
      float sum = 0;
      for (int64_t i = 0; i < kQuantizedGroup; ++i) sum += to_float(x[group * kQuantizedGroup + i]);
      a.sums[row * (a.width / kQuantizedGroup) + group] = sum;
    }
  }
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_f32(
    const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  quantize<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_bf16(
    const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  quantize<BFloat16>(a, first, last);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_int4_f32(
    const QuantizeInt4Arguments& a, int64_t first, int64_t last) {
  quantize_int4_rows(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void dequantize_f32(
    const DequantizeArguments& a, int64_t first, int64_t last) {
  dequantize_outputs<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void dequantize_bf16(
    const DequantizeArguments& a, int64_t first, int64_t last) {
  dequantize_outputs<BFloat16>(a, first, last);
}

}  // namespace

void quantize_int4(const QuantizeInt4Arguments& a, int64_t first, int64_t last) {
  quantize_int4_f32(a, first, last);
}
void dequantize(Element element, const DequantizeArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? dequantize_f32 : dequantize_bf16)(a, first, last);
}
void quantize_rows(Element element, const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? quantize_f32 : quantize_bf16)(a, first, last);
}

}  // namespace precis::kernels
