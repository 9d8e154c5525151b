// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace precis::ops {

// forward(x), through which gradients flow by `backward`, called with no gradients recorded, in
// place of autograd's own way through whatever forward does. Of several tensors that forward reads,
// x alone gets a gradient, and nothing has a gradient of a gradient: precis::Error (kUnsupported)
// where one is asked for. x is kept for the backward pass.
at::Tensor with_backward(
    const at::Tensor& x,
    const std::function<at::Tensor(const at::Tensor& x)>& forward,
    std::function<at::Tensor(const at::Tensor& x, const at::Tensor& gradient)> backward);

// The same where the backward pass needs no x, which is not kept then: linear ops.
at::Tensor with_backward(const at::Tensor& x,
                         const std::function<at::Tensor(const at::Tensor& x)>& forward,
                         std::function<at::Tensor(const at::Tensor& gradient)> backward);

}  // namespace precis::ops
