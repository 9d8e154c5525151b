// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstdint>

namespace precis {

// IEEE half precision to float, exact for every bit pattern. Selects values rather than branching,
// so that loops over it are vectorised.
inline float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half & 0x7c00u;
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  // The exponent's bias grows from 15 to 127; infinities and NaNs keep an exponent of all ones.
  const uint32_t bias = exponent == 0x7c00u ? (255u - 31u) << 23 : (127u - 15u) << 23;
  // Subnormal halves become normal floats: the mantissa in units of 2^-24.
  const float tiny = static_cast<float>(static_cast<int32_t>(half & 0x03ffu)) * 0x1p-24f;
  const uint32_t bits = exponent == 0 ? std::bit_cast<uint32_t>(tiny) : magnitude + bias;
  return std::bit_cast<float>(bits | sign);
}

inline float bfloat16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

}  // namespace precis
