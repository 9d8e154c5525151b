// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "base/parallel.h"
#include "kernels/kernels.h"

namespace precis::ops {

// Whether the kernels may run in place of the reference: on the CPU, in a dtype they know, with no
// gradient asked for.
bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// The same of an op whose way back is a kernel too: a gradient may be asked for, of x alone.
bool kernel_and_backward_apply(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

kernels::Element element_of(const at::Tensor& x);

// Runs `work(first, last)` over 0 .. rows, in parallel where the rows are worth it.
template <typename Work>
void for_row_ranges(int64_t rows, int64_t elements_per_row, const Work& work) {
  constexpr int64_t kElementsPerTask = 16384;
  const int64_t grain =
      std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, elements_per_row));
  for_ranges(rows, grain, work);
}

}  // namespace precis::ops
