// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis {

// Rotated keys [num_layers, num_kv_heads, n, head_dim] as they would be at other positions: those
// of each layer are turned from `from` to `to`, [n] or [num_layers, num_kv_heads, n] int64 both.
// Any positions, negative ones too. Differentiable.
at::Tensor turned_keys(const at::Tensor& keys,
                       const at::Tensor& from,
                       const at::Tensor& to,
                       const DecoderConfig& config);

}  // namespace precis
