// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis::ops {

// Forward selection by orthogonal least squares (Chen, Billings and Luo, 1989): of n columns the
// `count` over which targets are explained best, one after the other, each the one that reduces the
// squared error most. h problems side by side, given by the columns' products:
// gram: [h, n, n] float32 with each other; products: [h, k, n] with the k targets. The diagonal is
// raised by `ridge` times its mean. -> [h, count] int64, ascending. REQUIRES: count <= n, ridge >
// 0.
at::Tensor forward_selection(const at::Tensor& gram,
                             const at::Tensor& products,
                             int64_t count,
                             double ridge);

namespace reference {
at::Tensor forward_selection(const at::Tensor& gram,
                             const at::Tensor& products,
                             int64_t count,
                             double ridge);
}

}  // namespace precis::ops
