// SPDX-License-Identifier: Apache-2.0
// CUDA's half for a host compiler, as far as device code uses it; see cuda_runtime.h.
#pragma once

#include <bit>
#include <cstdint>

struct __half {
  uint16_t bits;
};

inline __half __ushort_as_half(uint16_t bits) { return {bits}; }
inline float __half2float(__half x) { return static_cast<float>(std::bit_cast<_Float16>(x.bits)); }
