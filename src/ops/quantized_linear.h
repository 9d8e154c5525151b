// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "ops/quantized_weight.h"

namespace precis::ops {

// x W^T + b with a quantised weight: equals linear() with dequantize(weight) up to rounding. Up to
// kFewQuantizedRows rows are quantised to int16 codes, in blocks of up to 128 values; for more rows
// the weight is dequantised, a block of outputs at a time. x: [n, width]; bias: [outputs] of x's
// dtype, or undefined. -> [n, outputs] of x's dtype
at::Tensor linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias = {});

// Most rows that are multiplied as codes. With more, dequantising the weight costs less than it
// saves.
inline constexpr int64_t kFewQuantizedRows = 32;

// Values of a quantised row of x that share a scale.
int64_t block_of_codes(const QuantizedWeight& weight);

namespace reference {
at::Tensor linear(const at::Tensor& x, const QuantizedWeight& weight, const at::Tensor& bias = {});
}

}  // namespace precis::ops
