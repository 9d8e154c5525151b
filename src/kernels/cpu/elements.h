// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

namespace precis::kernels {

using BFloat16 = uint16_t;  // its bits

[[gnu::always_inline]] inline float to_float(float value) { return value; }
[[gnu::always_inline]] inline float to_float(BFloat16 bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

[[gnu::always_inline]] inline void store(float* out, float value) { *out = value; }
// Rounds to nearest, ties to even. Preserves infinities, and the NaN that arithmetic produces.
[[gnu::always_inline]] inline void store(BFloat16* out, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  *out = static_cast<BFloat16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

[[gnu::always_inline]] inline float of_float16(uint16_t bits) {
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}
[[gnu::always_inline]] inline uint16_t to_float16(float value) {
  return std::bit_cast<uint16_t>(static_cast<_Float16>(value));
}

}  // namespace precis::kernels
