// SPDX-License-Identifier: Apache-2.0
// CPU kernels. Plain loops that the compiler turns into SIMD, once per instruction set; the loader
// picks the variant that the processor has. Sums run in float32 whatever the elements are.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/kernels.h"

namespace precis::kernels {
namespace {

using BFloat16 = uint16_t;  // its bits

[[gnu::always_inline]] inline float to_float(float value) { return value; }
[[gnu::always_inline]] inline float to_float(BFloat16 bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

[[gnu::always_inline]] inline void store(float* out, float value) { *out = value; }
// Rounds to nearest, ties to even. Infinities stay, and so does the NaN that arithmetic makes.
[[gnu::always_inline]] inline void store(BFloat16* out, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  *out = static_cast<BFloat16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// exp by 2^n * p(f) with |f| <= ln 2 / 2: within 2 units in the last place, and free of calls, so
// that loops vectorise.
[[gnu::always_inline]] inline float exp_approximate(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float n = __builtin_rintf(x * 1.44269504f);
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

template <typename T>
[[gnu::always_inline]] inline void rms_norm_rows(const RmsNormArguments& a,
                                                 int64_t first,
                                                 int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    T* out = static_cast<T*>(a.out) + row * a.width;
    float sum = 0;
    for (int64_t i = 0; i < a.width; ++i) sum += to_float(x[i]) * to_float(x[i]);
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(a.width) + a.epsilon);
    for (int64_t i = 0; i < a.width; ++i) store(out + i, to_float(x[i]) * scale * a.gain[i]);
  }
}

// With s = 1 / sqrt(mean(x^2) + epsilon) and h = gradient * gain: s * h - x * s^3 * mean(x * h).
template <typename T>
[[gnu::always_inline]] inline void rms_norm_backward_rows(const RmsNormBackwardArguments& a,
                                                          int64_t first,
                                                          int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    const T* gradient = static_cast<const T*>(a.gradient) + row * a.width;
    T* out = static_cast<T*>(a.x_gradient) + row * a.width;
    float squares = 0, along = 0;
    for (int64_t i = 0; i < a.width; ++i) {
      squares += to_float(x[i]) * to_float(x[i]);
      along += to_float(x[i]) * to_float(gradient[i]) * a.gain[i];
    }
    const auto width = static_cast<float>(a.width);
    const float scale = 1.0f / __builtin_sqrtf(squares / width + a.epsilon);
    const float slope = scale * scale * scale * along / width;
    for (int64_t i = 0; i < a.width; ++i)
      store(out + i, scale * to_float(gradient[i]) * a.gain[i] - slope * to_float(x[i]));
  }
}

template <typename T>
[[gnu::always_inline]] inline void rotary_rows(const RotaryArguments& a,
                                               int64_t first,
                                               int64_t last) {
  const int64_t half = a.head_dim / 2;
  for (int64_t row = first; row < last; ++row) {
    const float* cos = a.cos + row * half;
    const float* sin = a.sin + row * half;
    for (int64_t head = 0; head < a.heads; ++head) {
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride + head * a.head_dim;
      T* out = static_cast<T*>(a.out) + (row * a.heads + head) * a.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float low = to_float(x[i]);
        const float high = to_float(x[i + half]);
        store(out + i, low * cos[i] - high * sin[i]);
        store(out + i + half, high * cos[i] + low * sin[i]);
      }
    }
  }
}

[[gnu::always_inline]] inline float silu(float x) { return x / (1.0f + exp_approximate(-x)); }
// gelu's tanh form, with tanh(u) = 1 - 2 / (exp(2u) + 1).
[[gnu::always_inline]] inline float gelu_tanh(float x) {
  const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  return x * (1.0f - 1.0f / (exp_approximate(2.0f * u) + 1.0f));
}

template <typename T>
[[gnu::always_inline]] inline void gated_rows(const GatedActivationArguments& a,
                                              int64_t first,
                                              int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* gate = static_cast<const T*>(a.gate_up) + row * 2 * a.width;
    const T* up = gate + a.width;
    T* out = static_cast<T*>(a.out) + row * a.width;
    if (a.gelu_tanh) {
      for (int64_t i = 0; i < a.width; ++i)
        store(out + i, gelu_tanh(to_float(gate[i])) * to_float(up[i]));
    } else {
      for (int64_t i = 0; i < a.width; ++i)
        store(out + i, silu(to_float(gate[i])) * to_float(up[i]));
    }
  }
}

// An activation and its slope.
struct Activated {
  float value;
  float slope;
};

[[gnu::always_inline]] inline Activated silu_and_slope(float x) {
  const float sigmoid = 1.0f / (1.0f + exp_approximate(-x));
  return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
}
[[gnu::always_inline]] inline Activated gelu_tanh_and_slope(float x) {
  const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  const float u_slope = 0.7978845608f * (1.0f + 3.0f * 0.044715f * x * x);
  const float rest = 1.0f / (exp_approximate(2.0f * u) + 1.0f);  // (1 - tanh(u)) / 2
  return {x * (1.0f - rest), (1.0f - rest) * (1.0f + 2.0f * x * rest * u_slope)};
}

template <typename T, typename Activation>
[[gnu::always_inline]] inline void gated_backward_rows(const GatedActivationBackwardArguments& a,
                                                       int64_t first,
                                                       int64_t last,
                                                       Activation activation) {
  for (int64_t row = first; row < last; ++row) {
    const T* gate = static_cast<const T*>(a.gate_up) + row * 2 * a.width;
    const T* up = gate + a.width;
    const T* gradient = static_cast<const T*>(a.gradient) + row * a.width;
    T* gate_gradient = static_cast<T*>(a.gate_up_gradient) + row * 2 * a.width;
    T* up_gradient = gate_gradient + a.width;
    for (int64_t i = 0; i < a.width; ++i) {
      const Activated activated = activation(to_float(gate[i]));
      const float own = to_float(gradient[i]);
      store(gate_gradient + i, own * to_float(up[i]) * activated.slope);
      store(up_gradient + i, own * activated.value);
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline void gated_backward(const GatedActivationBackwardArguments& a,
                                                  int64_t first,
                                                  int64_t last) {
  if (a.gelu_tanh) {
    gated_backward_rows<T>(a, first, last, [](float x) { return gelu_tanh_and_slope(x); });
  } else {
    gated_backward_rows<T>(a, first, last, [](float x) { return silu_and_slope(x); });
  }
}

template <typename T>
[[gnu::always_inline]] inline void decode_one_head(const DecodeAttentionArguments& a,
                                                   int64_t head) {
  const int64_t group = a.heads / a.kv_heads;
  const T* q = static_cast<const T*>(a.q) + head * a.head_dim;
  const T* keys = static_cast<const T*>(a.keys) + (head / group) * a.kv_stride;
  const T* values = static_cast<const T*>(a.values) + (head / group) * a.kv_stride;
  float* scores = a.scores + head * a.num_keys;
  float query[kMaxHeadDim];
  for (int64_t i = 0; i < a.head_dim; ++i) query[i] = to_float(q[i]) * a.scale;
  float largest = -INFINITY;
  for (int64_t row = a.first_key; row < a.num_keys; ++row) {
    const T* key = keys + row * a.head_dim;
    float dot = 0;
    for (int64_t i = 0; i < a.head_dim; ++i) dot += query[i] * to_float(key[i]);
    scores[row] = dot;
    largest = dot > largest ? dot : largest;
  }
  float total = 0;
  for (int64_t row = a.first_key; row < a.num_keys; ++row) {
    scores[row] = exp_approximate(scores[row] - largest);
    total += scores[row];
  }
  float sum[kMaxHeadDim] = {};
  for (int64_t row = a.first_key; row < a.num_keys; ++row) {
    const T* value = values + row * a.head_dim;
    const float weight = scores[row];
    for (int64_t i = 0; i < a.head_dim; ++i) sum[i] += weight * to_float(value[i]);
  }
  T* out = static_cast<T*>(a.out) + head * a.head_dim;
  for (int64_t i = 0; i < a.head_dim; ++i) store(out + i, sum[i] / total);
}

template <typename T>
[[gnu::always_inline]] inline void decode_heads(const DecodeAttentionArguments& a,
                                                int64_t first,
                                                int64_t last) {
  const int64_t group = a.heads / a.kv_heads;
  for (int64_t head = first * group; head < last * group; ++head) decode_one_head<T>(a, head);
}

// Independent sums that one dot product is split into: enough to hide the latency of each.
constexpr int64_t kChains = 32;

[[gnu::always_inline]] inline float dot(const float* x, const float* w, int64_t width) {
  float chains[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= width; i += kChains)
    for (int64_t j = 0; j < kChains; ++j) chains[j] += x[i + j] * w[i + j];
  float sum = 0;
  for (int64_t j = 0; j < kChains; ++j) sum += chains[j];
  for (; i < width; ++i) sum += x[i] * w[i];
  return sum;
}

// Two bfloat16 numbers a word: each is one operation away from float32, without a shuffle, where
// x lies apart in the same way.
[[gnu::always_inline]] inline float dot(const float* x, const BFloat16* w, int64_t width) {
  const float* odd = x + width / 2;
  float even_sum = 0, odd_sum = 0;
  for (int64_t i = 0; i < width / 2; ++i) {
    uint32_t pair;
    __builtin_memcpy(&pair, w + 2 * i, sizeof pair);
    even_sum += x[i] * std::bit_cast<float>(pair << 16);
    odd_sum += odd[i] * std::bit_cast<float>(pair & 0xffff0000u);
  }
  return even_sum + odd_sum;
}

// The weights are read once, in the order in which they lie: that is what limits the speed.
template <typename T>
[[gnu::always_inline]] inline void linear_outputs(const LinearArguments& a,
                                                  int64_t first,
                                                  int64_t last) {
  const T* bias = static_cast<const T*>(a.bias);
  for (int64_t output = first; output < last; ++output) {
    const T* w = static_cast<const T*>(a.weight) + output * a.width;
    for (int64_t row = 0; row < a.rows; ++row) {
      float sum = dot(a.x + row * a.width, w, a.width);
      if (bias != nullptr) sum += to_float(bias[output]);
      store(static_cast<T*>(a.out) + row * a.outputs + output, sum);
    }
  }
}

[[gnu::always_inline]] inline float of_float16(uint16_t bits) {
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}
[[gnu::always_inline]] inline uint16_t to_float16(float value) {
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
}

// A group's numbers as scale * code + minimum.
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
    a.minima[group] = to_float16(grid.minimum);
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
    T* out = static_cast<T*>(a.out) + output * a.width;
    if (a.bits == 8) {
      const int8_t* codes = static_cast<const int8_t*>(a.codes) + output * a.width;
      for (int64_t i = 0; i < a.width; ++i)
        store(out + i, a.scales[output] * static_cast<float>(codes[i]));
      continue;
    }
    const uint8_t* bytes = static_cast<const uint8_t*>(a.codes) + output * a.width / 2;
    const int64_t groups = a.width / kQuantizedGroup;
    for (int64_t group = 0; group < groups; ++group) {
      const float scale = of_float16(a.group_scales[output * groups + group]),
                  minimum = of_float16(a.group_minima[output * groups + group]);
      for (int64_t i = 0; i < kHalf; ++i) {
        const uint8_t byte = bytes[group * kHalf + i];
        store(out + group * kQuantizedGroup + i, scale * static_cast<float>(byte & 15) + minimum);
        store(out + group * kQuantizedGroup + kHalf + i,
              scale * static_cast<float>(byte >> 4) + minimum);
      }
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline void quantize_block(const T* x,
                                                  int64_t size,
                                                  int16_t* codes,
                                                  float* scale) {
  constexpr float kLargestCode = 32767.0f;
  float largest = 0, total = 0;  // only a sum keeps what is not a number
  for (int64_t i = 0; i < size; ++i) {
    const float magnitude = __builtin_fabsf(to_float(x[i]));
    largest = magnitude > largest ? magnitude : largest;
    total += magnitude;
  }
  const bool finite = total <= std::numeric_limits<float>::max();
  const float inverse = finite && largest > 1e-30f ? kLargestCode / largest : 0.0f;
  *scale = finite ? largest / kLargestCode : std::numeric_limits<float>::quiet_NaN();
  for (int64_t i = 0; i < size; ++i) {
    const float number = finite ? to_float(x[i]) : 1.0f;
    codes[i] = static_cast<int16_t>(static_cast<int32_t>(__builtin_rintf(number * inverse)));
  }
}

template <typename T>
[[gnu::always_inline]] inline void quantize(const QuantizeRowsArguments& a,
                                            int64_t first,
                                            int64_t last) {
  for (int64_t row = first; row < last; ++row) {
    const T* x = static_cast<const T*>(a.x) + row * a.width;
    for (int64_t block = 0; block < a.width / a.block; ++block) {
      quantize_block(x + block * a.block,
                     a.block,
                     a.codes + row * a.width + block * a.block,
                     a.scales + row * (a.width / a.block) + block);
    }
    for (int64_t group = 0; group < a.width / kQuantizedGroup; ++group) {
      float sum = 0;
      for (int64_t i = 0; i < kQuantizedGroup; ++i) sum += to_float(x[group * kQuantizedGroup + i]);
      a.sums[row * (a.width / kQuantizedGroup) + group] = sum;
    }
  }
}

// One symbol per kernel and element, compiled for each of these instruction sets.
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rms_norm_f32(
    const RmsNormArguments& a, int64_t first, int64_t last) {
  rms_norm_rows<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rms_norm_bf16(
    const RmsNormArguments& a, int64_t first, int64_t last) {
  rms_norm_rows<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rms_norm_backward_f32(
    const RmsNormBackwardArguments& a, int64_t first, int64_t last) {
  rms_norm_backward_rows<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rms_norm_backward_bf16(
    const RmsNormBackwardArguments& a, int64_t first, int64_t last) {
  rms_norm_backward_rows<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rotary_f32(
    const RotaryArguments& a, int64_t first, int64_t last) {
  rotary_rows<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rotary_bf16(
    const RotaryArguments& a, int64_t first, int64_t last) {
  rotary_rows<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void gated_f32(
    const GatedActivationArguments& a, int64_t first, int64_t last) {
  gated_rows<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void gated_bf16(
    const GatedActivationArguments& a, int64_t first, int64_t last) {
  gated_rows<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void gated_backward_f32(
    const GatedActivationBackwardArguments& a, int64_t first, int64_t last) {
  gated_backward<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void gated_backward_bf16(
    const GatedActivationBackwardArguments& a, int64_t first, int64_t last) {
  gated_backward<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void decode_f32(
    const DecodeAttentionArguments& a, int64_t first, int64_t last) {
  decode_heads<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void decode_bf16(
    const DecodeAttentionArguments& a, int64_t first, int64_t last) {
  decode_heads<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void linear_f32(
    const LinearArguments& a, int64_t first, int64_t last) {
  linear_outputs<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void linear_bf16(
    const LinearArguments& a, int64_t first, int64_t last) {
  linear_outputs<BFloat16>(a, first, last);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_f32(
    const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  quantize<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_bf16(
    const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  quantize<BFloat16>(a, first, last);
}

[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void quantize_int4(
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

void rms_norm(Element element, const RmsNormArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? rms_norm_f32 : rms_norm_bf16)(a, first, last);
}
void rms_norm_backward(Element element,
                       const RmsNormBackwardArguments& a,
                       int64_t first,
                       int64_t last) {
  (element == Element::kFloat32 ? rms_norm_backward_f32 : rms_norm_backward_bf16)(a, first, last);
}
void rotary(Element element, const RotaryArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? rotary_f32 : rotary_bf16)(a, first, last);
}
void gated_activation(Element element,
                      const GatedActivationArguments& a,
                      int64_t first,
                      int64_t last) {
  (element == Element::kFloat32 ? gated_f32 : gated_bf16)(a, first, last);
}
void gated_activation_backward(Element element,
                               const GatedActivationBackwardArguments& a,
                               int64_t first,
                               int64_t last) {
  (element == Element::kFloat32 ? gated_backward_f32 : gated_backward_bf16)(a, first, last);
}
void decode_attention(Element element,
                      const DecodeAttentionArguments& a,
                      int64_t first,
                      int64_t last) {
  (element == Element::kFloat32 ? decode_f32 : decode_bf16)(a, first, last);
}
void linear(Element element, const LinearArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? linear_f32 : linear_bf16)(a, first, last);
}
void dequantize(Element element, const DequantizeArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? dequantize_f32 : dequantize_bf16)(a, first, last);
}
void quantize_rows(Element element, const QuantizeRowsArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? quantize_f32 : quantize_bf16)(a, first, last);
}

constexpr KernelTable kTable{rms_norm,
                             rms_norm_backward,
                             rotary,
                             gated_activation,
                             gated_activation_backward,
                             decode_attention,
                             linear,
                             quantize_int4,
                             dequantize,
                             quantize_rows,
                             quantized_linear_cpu};

}  // namespace

const KernelTable& cpu() { return kTable; }

}  // namespace precis::kernels
