// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/paged_cache.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

// One block per token, for its keys and values. kPack divides head_dim, and all addresses are
// aligned to it.
template <typename T, int kPack, typename Pointer>
__device__ void copy_page_row(const CopyPagesArguments<Pointer>& a) {
  constexpr bool kWrites = std::is_same_v<Pointer, const void*>;
  using Outside = std::conditional_t<kWrites, const T, T>;
  const int64_t row = blockIdx.x, own = a.first + row, packs = a.head_dim / kPack;
  T* page = static_cast<T*>(a.pages[own / kTokensPerPage]) + own % kTokensPerPage * a.head_dim;
  const auto copy = [](T* inside, Outside* outside) {
    if constexpr (kWrites)
      *reinterpret_cast<Pack<T, kPack>*>(inside) = load<kPack>(outside);
    else
      *reinterpret_cast<Pack<T, kPack>*>(outside) = load<kPack>(inside);
  };
  for (int64_t i = threadIdx.x; i < a.kv_heads * packs; i += blockDim.x) {
    const int64_t head = i / packs, column = i % packs * kPack;
    const PagePlace place = page_place(a.layer, head, a.kv_heads, a.head_dim);
    copy(page + place.keys + column,
         static_cast<Outside*>(a.keys) + head * a.key_head_stride + row * a.key_stride + column);
    copy(page + place.values + column,
         static_cast<Outside*>(a.values) + head * a.value_head_stride + row * a.value_stride +
             column);
  }
}

}  // namespace precis::kernels
