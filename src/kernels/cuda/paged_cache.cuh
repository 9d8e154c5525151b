// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cuda_runtime.h>

#include "kernels/kernels.h"

namespace precis::kernels {

// Offsets in elements of a head's keys and of its values in a page.
struct PagePlace {
  int64_t keys;
  int64_t values;
};

__device__ inline PagePlace page_place(int64_t layer,
                                       int64_t head,
                                       int64_t kv_heads,
                                       int64_t head_dim) {
  const int64_t of_head = kTokensPerPage * head_dim;
  const int64_t keys = 2 * (layer * kv_heads + head) * of_head;
  return {keys, keys + of_head};
}

}  // namespace precis::kernels
