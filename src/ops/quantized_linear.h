// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/quantized_weight.h"

namespace precis::ops {

// x W^T + b over a quantised weight: the same numbers as linear() over dequantize(weight), but for
// rounding. Few rows are multiplied as int16 codes of blocks of up to 128 numbers; for many the
// weight is widened a block of outputs at a time. x: [n, width]; bias: [outputs] of x's dtype, or
// undefined. -> [n, outputs] of x's dtype
at::Tensor linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias = {});

// Up to so many rows are multiplied as codes: with more, widening the weight costs less than it
// saves.
inline constexpr int64_t kFewQuantizedRows = 32;

// Numbers of a row of codes that share a scale.
int64_t block_of_codes(const QuantizedWeight& weight);

namespace reference {
at::Tensor linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias = {});
}

}  // namespace precis::ops
