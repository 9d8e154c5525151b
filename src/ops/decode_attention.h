// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/attention.h"

namespace precis::ops {

// What a sequence has cached in one layer, [kv_heads, m, head_dim] each.
struct CachedKeysValues {
  at::Tensor keys;
  at::Tensor values;
};

// attention() of one row each of several sequences, the last of its own cached rows, at least one.
// q: [sequences, heads, head_dim] -> the same. By the kernel, a sequence's
// result is the same to the last bit whatever stands beside it.
at::Tensor decode_attention(const at::Tensor& q,
                            const std::vector<CachedKeysValues>& cached,
                            const AttentionOptions& options);

namespace reference {
at::Tensor decode_attention(const at::Tensor& q,
                            const std::vector<CachedKeysValues>& cached,
                            const AttentionOptions& options);
}

}  // namespace precis::ops
