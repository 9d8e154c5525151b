// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace precis::ops {

// Forward selection by orthogonal least squares (Chen, Billings and Luo, 1989): chooses `count` of
// n columns one after the other, each time the one that reduces the squared error of the targets
// most. Solves h problems, given by products. gram: [h, n, n] float32, of the columns with each
// other; products: [h, k, n], of the columns with the k targets. The diagonal of gram is raised by
// `ridge` times its mean. -> [h, count] int64, ascending. REQUIRES: count <= n, ridge > 0.
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
