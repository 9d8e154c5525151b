// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

__device__ inline float silu(float x) { return x / (1.0f + expf(-x)); }

__device__ inline float gelu_tanh(float x) {
  constexpr float kRootOfTwoOverPi = 0.7978845608028654f;
  return 0.5f * x * (1.0f + tanhf(kRootOfTwoOverPi * (x + 0.044715f * x * x * x)));
}

// blockIdx.x is the row, whose columns are divided among blockIdx.y and threads. kPack divides the
// width, and rows are aligned to it.
template <typename T, int kPack>
__device__ void gated_activation_row(const GatedActivationArguments& a) {
  const int64_t row = blockIdx.x;
  const T* gate = static_cast<const T*>(a.gate_up) + row * 2 * a.width;
  T* out = static_cast<T*>(a.out) + row * a.width;
  const int64_t first = (static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * kPack;
  for (int64_t i = first; i < a.width; i += static_cast<int64_t>(gridDim.y) * blockDim.x * kPack) {
    float gates[kPack], ups[kPack];
    load<kPack>(gate + i, gates);
    load<kPack>(gate + a.width + i, ups);
#pragma unroll
    for (int k = 0; k < kPack; ++k) ups[k] *= a.gelu_tanh ? gelu_tanh(gates[k]) : silu(gates[k]);
    store<kPack>(out + i, ups);
  }
}

}  // namespace precis::kernels
