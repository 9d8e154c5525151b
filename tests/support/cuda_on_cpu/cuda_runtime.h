// SPDX-License-Identifier: Apache-2.0
// CUDA's keywords, built-in variables and warp functions for a host compiler; included in place of
// CUDA's header of this name. The threads of a block are fibers of one thread (launch.h), so that
// atomics are plain operations.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

// Of the running fiber.
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace precis::cuda_on_cpu {

// Waits for all threads of the block. Returns the number of threads whose predicate is not 0.
int wait_for_block(int predicate);
// The same at a barrier that tests can disable.
void wait_at(const std::source_location& barrier);

// The value of lane `source(own lane)` of the warp, once all lanes of the mask have given one.
uint64_t exchange(
    const char* name, unsigned mask, uint64_t given, int (*source)(int lane, int), int);

// One bit for each lane of the mask whose predicate is not 0.
unsigned ballot(unsigned mask, bool predicate);

template <typename T>
T shuffle(const char* name, unsigned mask, T value, int (*source)(int, int), int argument) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t given = 0;
  std::memcpy(&given, &value, sizeof value);
  const uint64_t taken = exchange(name, mask, given, source, argument);
  std::memcpy(&value, &taken, sizeof value);
  return value;
}

}  // namespace precis::cuda_on_cpu

inline void __syncthreads(const std::source_location& barrier = std::source_location::current()) {
  precis::cuda_on_cpu::wait_at(barrier);
}
inline int __syncthreads_count(int predicate) {
  return precis::cuda_on_cpu::wait_for_block(predicate);
}
inline int __syncthreads_or(int predicate) {
  return precis::cuda_on_cpu::wait_for_block(predicate) > 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { precis::cuda_on_cpu::ballot(mask, false); }
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return precis::cuda_on_cpu::ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) == mask;
}

// A shuffle beyond the warp's ends reads the lane's own value.
template <typename T>
T __shfl_sync(unsigned mask, T value, int lane) {
  return precis::cuda_on_cpu::shuffle(
      "__shfl_sync", mask, value, [](int, int from) { return from & 31; }, lane);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return precis::cuda_on_cpu::shuffle(
      "__shfl_xor_sync", mask, value, [](int own, int by) { return own ^ by; }, bits);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  return precis::cuda_on_cpu::shuffle(
      "__shfl_down_sync",
      mask,
      value,
      [](int own, int step) { return own + step < 32 ? own + step : own; },
      static_cast<int>(by));
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by) {
  return precis::cuda_on_cpu::shuffle(
      "__shfl_up_sync",
      mask,
      value,
      [](int own, int step) { return own >= step ? own - step : own; },
      static_cast<int>(by));
}

template <typename T>
T atomicAdd(T* address, T value) {
  const T before = *address;
  *address += value;
  return before;
}
template <typename T>
T atomicMax(T* address, T value) {
  const T before = *address;
  if (value > before) *address = value;
  return before;
}

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
