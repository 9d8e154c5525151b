// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/paged_cache.cuh"
#include "kernels/kernels.h"

namespace precis::kernels {

// A block a row, its keys and its values. kPack divides head_dim and aligns the heads' rows.
template <typename T, int kPack>
__device__ void write_page_row(const WritePagesArguments& a) {
  const int64_t row = blockIdx.x, own = a.first + row, packs = a.head_dim / kPack;
  T* page = static_cast<T*>(a.pages[own / kRowsPerPage]) + own % kRowsPerPage * a.head_dim;
  for (int64_t i = threadIdx.x; i < a.kv_heads * packs; i += blockDim.x) {
    const int64_t head = i / packs, column = i % packs * kPack;
    const PagePlace place = page_place(a.layer, head, a.kv_heads, a.head_dim);
    const T* key = static_cast<const T*>(a.keys) + head * a.key_head_stride + row * a.key_stride;
    const T* value =
        static_cast<const T*>(a.values) + head * a.value_head_stride + row * a.value_stride;
    *reinterpret_cast<Pack<T, kPack>*>(page + place.keys + column) = load<kPack>(key + column);
    *reinterpret_cast<Pack<T, kPack>*>(page + place.values + column) = load<kPack>(value + column);
  }
}

}  // namespace precis::kernels
