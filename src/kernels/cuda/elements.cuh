// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace precis::kernels {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ inline void store(float* out, float value) { *out = value; }
__device__ inline void store(__nv_bfloat16* out, float value) { *out = __float2bfloat16_rn(value); }

// Neighbouring elements that one instruction loads or stores.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Pack {
  T of[kCount];
};

// Elements in 16 bytes, the widest load, which is used where rows are aligned to it.
template <typename T>
constexpr int kWidest = 16 / sizeof(T);

template <int kCount, typename T>
__device__ Pack<T, kCount> load(const T* x) {
  return *reinterpret_cast<const Pack<T, kCount>*>(x);
}
template <int kCount, typename T>
__device__ void load(const T* x, float* out) {
  const Pack<T, kCount> pack = load<kCount>(x);
#pragma unroll
  for (int i = 0; i < kCount; ++i) out[i] = to_float(pack.of[i]);
}

template <int kCount, typename T>
__device__ void store(T* out, const float* values) {
  Pack<T, kCount> pack;
#pragma unroll
  for (int i = 0; i < kCount; ++i) store(pack.of + i, values[i]);
  *reinterpret_cast<Pack<T, kCount>*>(out) = pack;
}

}  // namespace precis::kernels
