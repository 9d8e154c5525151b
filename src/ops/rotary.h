// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis::ops {

// Cosines and sines of rotary angles, [n, head_dim / 2] float32 each.
struct RotaryTable {
  at::Tensor cos;
  at::Tensor sin;
};

// Frequencies of each pair of dimensions, [head_dim / 2] float32 on the CPU, scaled as the
// configuration says.
at::Tensor rotary_frequencies(const RopeConfig& rope, int64_t head_dim);

// frequencies: [head_dim / 2]; positions: [n] int64.
RotaryTable rotary_table(const at::Tensor& frequencies,
                         const at::Tensor& positions,
                         double attention_factor);

// Rotates the pairs (i, i + head_dim / 2) of each head. x: [n, heads, head_dim].
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table);

namespace reference {
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table);
}

}  // namespace precis::ops
