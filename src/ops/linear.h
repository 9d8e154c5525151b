// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// x W^T + b, summed in float32 or wider. x: [n, in]; weight: [out, in]; bias: [out] or undefined;
// all of one dtype. -> [n, out] of that dtype
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

// Whether linear() uses its kernel for few rows, which reads the weight once.
bool linear_by_kernel(const at::Tensor& x, const at::Tensor& weight);

namespace reference {
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});
}

}  // namespace precis::ops
