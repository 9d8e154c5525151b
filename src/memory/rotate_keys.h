// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "precis/extend/decoder.h"

namespace precis {

// Moves rotary-encoded keys [num_layers, num_kv_heads, n, head_dim] from the positions `from` to
// the positions `to`, both int64, [n] or [num_layers, num_kv_heads, n]. Positions may be negative.
// The result has the shape and dtype of `keys`. Differentiable.
at::Tensor rotate_keys(const at::Tensor& keys,
                       const at::Tensor& from,
                       const at::Tensor& to,
                       const DecoderConfig& config);

// The same for keys [n, head_dim], layer by layer, at positions [n]. layer_sizes: [num_layers],
// number of keys of each layer.
at::Tensor rotate_tokens(const at::Tensor& keys,
                         const at::Tensor& from,
                         const at::Tensor& to,
                         std::span<const int64_t> layer_sizes,
                         const DecoderConfig& config);

}  // namespace precis
