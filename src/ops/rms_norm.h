// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension, computed in float32, returned in
// x's dtype. x: [..., d]; weight: [d] float32.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);

namespace reference {
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon);
}

}  // namespace precis::ops
