// SPDX-License-Identifier: Apache-2.0
// CPU kernels. Plain loops that the compiler turns into SIMD, once per instruction set; the loader
// picks the variant that the processor has. Sums run in float32 whatever the elements are.
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/cpu/block_attention.h"
#include "kernels/cpu/elements.h"
#include "kernels/cpu/forward_selection.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/quantization.h"
#include "kernels/kernels.h"

namespace precis::kernels {
namespace {

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
    for (int64_t i = 0; i < a.width; ++i) store(out + i, to_float(x[i]) * scale * a.weight[i]);
  }
}

// With s = 1 / sqrt(mean(x^2) + epsilon) and h = gradient * weight: s * h - x * s^3 * mean(x * h).
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
      along += to_float(x[i]) * to_float(gradient[i]) * a.weight[i];
    }
    const auto width = static_cast<float>(a.width);
    const float scale = 1.0f / __builtin_sqrtf(squares / width + a.epsilon);
    const float derivative = scale * scale * scale * along / width;
    for (int64_t i = 0; i < a.width; ++i)
      store(out + i, scale * to_float(gradient[i]) * a.weight[i] - derivative * to_float(x[i]));
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

[[gnu::always_inline]] inline void norm_in_place(float* x,
                                                 const float* weight,
                                                 int64_t width,
                                                 float epsilon) {
  rms_norm_rows<float>({x, weight, x, width, epsilon}, 0, 1);
}

template <typename T>
[[gnu::always_inline]] inline void store_heads(
    const float* x, T* out, int64_t stride, int64_t heads, int64_t head_dim) {
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < head_dim; ++i) store(out + head * stride + i, x[head * head_dim + i]);
}

template <typename T>
[[gnu::always_inline]] inline void rotary_append_rows(const RotaryAppendArguments& a,
                                                      int64_t first,
                                                      int64_t last) {
  const int64_t q_size = a.heads * a.head_dim, kv_size = a.kv_heads * a.head_dim;
  for (int64_t row = first; row < last; ++row) {
    float* q = a.qkv + row * (q_size + 2 * kv_size);
    float* k = q + q_size;
    for (int64_t i = 0; a.q_norm_weight != nullptr && i < q_size; i += a.head_dim)
      norm_in_place(q + i, a.q_norm_weight, a.head_dim, a.epsilon);
    for (int64_t i = 0; a.k_norm_weight != nullptr && i < kv_size; i += a.head_dim)
      norm_in_place(k + i, a.k_norm_weight, a.head_dim, a.epsilon);
    const float* cos = a.cos + row * a.head_dim / 2;
    const float* sin = a.sin + row * a.head_dim / 2;
    rotary_rows<float>({q, cos, sin, a.q + row * q_size, 0, a.heads, a.head_dim}, 0, 1);
    rotary_rows<float>({k, cos, sin, k, 0, a.kv_heads, a.head_dim}, 0, 1);
    store_heads(k, static_cast<T*>(a.keys[row]), a.stride[row], a.kv_heads, a.head_dim);
    store_heads(k + kv_size, static_cast<T*>(a.values[row]), a.stride[row], a.kv_heads, a.head_dim);
  }
}

[[gnu::always_inline]] inline void deinterleave_pairs_rows(const DeinterleavePairsArguments& a,
                                                           int64_t first,
                                                           int64_t last) {
  const int64_t half = a.width / 2;
  for (int64_t row = first; row < last; ++row) {
    const float* x = a.x + row * a.width;
    float* out = a.out + row * a.width;
    for (int64_t i = 0; i < half; ++i) {
      out[i] = x[2 * i];
      out[half + i] = x[2 * i + 1];
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

// An activation and its derivative.
struct Activated {
  float value;
  float derivative;
};

[[gnu::always_inline]] inline Activated silu_and_derivative(float x) {
  const float sigmoid = 1.0f / (1.0f + exp_approximate(-x));
  return {x * sigmoid, sigmoid * (1.0f + x * (1.0f - sigmoid))};
}
[[gnu::always_inline]] inline Activated gelu_tanh_and_derivative(float x) {
  const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
  const float u_derivative = 0.7978845608f * (1.0f + 3.0f * 0.044715f * x * x);
  const float rest = 1.0f / (exp_approximate(2.0f * u) + 1.0f);  // (1 - tanh(u)) / 2
  return {x * (1.0f - rest), (1.0f - rest) * (1.0f + 2.0f * x * rest * u_derivative)};
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
      store(gate_gradient + i, own * to_float(up[i]) * activated.derivative);
      store(up_gradient + i, own * activated.value);
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline void gated_backward(const GatedActivationBackwardArguments& a,
                                                  int64_t first,
                                                  int64_t last) {
  if (a.gelu_tanh) {
    gated_backward_rows<T>(a, first, last, [](float x) { return gelu_tanh_and_derivative(x); });
  } else {
    gated_backward_rows<T>(a, first, last, [](float x) { return silu_and_derivative(x); });
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
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rotary_append_f32(
    const RotaryAppendArguments& a, int64_t first, int64_t last) {
  rotary_append_rows<float>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void rotary_append_bf16(
    const RotaryAppendArguments& a, int64_t first, int64_t last) {
  rotary_append_rows<BFloat16>(a, first, last);
}
[[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]] void deinterleave_pairs(
    const DeinterleavePairsArguments& a, int64_t first, int64_t last) {
  deinterleave_pairs_rows(a, first, last);
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
void rotary_append(Element element, const RotaryAppendArguments& a, int64_t first, int64_t last) {
  (element == Element::kFloat32 ? rotary_append_f32 : rotary_append_bf16)(a, first, last);
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

constexpr KernelTable kTable{rms_norm,
                             rms_norm_backward,
                             rotary,
                             gated_activation,
                             gated_activation_backward,
                             block_attention,
                             merge_block_attention,
                             rotary_append,
                             deinterleave_pairs,
                             linear,
                             quantize_int4,
                             dequantize,
                             quantize_rows,
                             quantized_linear,
                             forward_selection};

}  // namespace

const KernelTable& cpu() { return kTable; }

}  // namespace precis::kernels
