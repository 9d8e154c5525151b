// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace precis::ops {

// forward(x) with a backward pass of its own: forward runs without recording gradients, and
// `backward` computes the gradient of x. Other tensors that forward reads get no gradient. A
// gradient of a gradient throws precis::Error (kUnsupported). x is kept for the backward pass.
at::Tensor with_backward(
    const at::Tensor& x,
    const std::function<at::Tensor(const at::Tensor& x)>& forward,
    std::function<at::Tensor(const at::Tensor& x, const at::Tensor& gradient)> backward);

// For linear ops, whose backward pass does not need x: x is not kept.
at::Tensor with_backward(const at::Tensor& x,
                         const std::function<at::Tensor(const at::Tensor& x)>& forward,
                         std::function<at::Tensor(const at::Tensor& gradient)> backward);

}  // namespace precis::ops
