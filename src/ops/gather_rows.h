// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// Rows of two matrices of one width, dtype and device: row i is table[sources[i]] or, where that is
// negative, others[-1 - sources[i]]. sources: [n] int64. REQUIRES: rows that are there; on a GPU
// nothing asks.
at::Tensor gather_rows(const at::Tensor& table,
                       const at::Tensor& others,
                       const at::Tensor& sources);

// `rows`, [n, width], of which those whose source is negative are others[-1 - source] instead.
// REQUIRES: others that is not empty.
at::Tensor with_rows(const at::Tensor& rows, const at::Tensor& others, const at::Tensor& sources);

namespace reference {
at::Tensor gather_rows(const at::Tensor& table,
                       const at::Tensor& others,
                       const at::Tensor& sources);
}

}  // namespace precis::ops
