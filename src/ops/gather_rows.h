// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// Rows of two concatenated matrices: row i is first[indices[i]] for indices below num_first, else
// second[indices[i] - num_first]. first: [num_first, width]; second: [num_second, width], of the
// same dtype and device; indices: [n] int64. -> [n, width]. Differentiable with respect to both.
// REQUIRES: indices 0 to num_first + num_second - 1 (not checked on a GPU).
at::Tensor gather_rows(const at::Tensor& first,
                       const at::Tensor& second,
                       const at::Tensor& indices);

namespace reference {
at::Tensor gather_rows(const at::Tensor& first,
                       const at::Tensor& second,
                       const at::Tensor& indices);
}

}  // namespace precis::ops
