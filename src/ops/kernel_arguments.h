// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "base/parallel.h"
#include "kernels/cuda_kernels.h"
#include "kernels/kernels.h"
#include "ops/stream.h"

namespace precis::ops {

// Whether the kernels may run in place of the reference: all on the CPU, in a dtype they know, with
// no gradient asked for.
bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// The same of an op whose backward pass is a kernel too: a gradient may be asked for, of x alone.
bool kernel_and_backward_apply(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// Whether the GPU's kernels may run in place of the reference: in a build that has them, on tensors
// of one GPU, in a dtype they know, with no gradient asked for.
bool gpu_kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// Whether it begins where the GPU's kernels may read 16 bytes at a time.
bool may_be_read_in_packs(const at::Tensor& x);

kernels::Element element_of(const at::Tensor& x);

// Throws kInternal, naming the kernel, if what was queued before could not be started.
void check_launch(const char* kernel);

// Queues a kernel, launch(table, stream), on the GPU of x.
template <typename Launch>
void on_gpu(const at::Tensor& x, const char* kernel, const Launch& launch) {
  const c10::DeviceGuard device(x.device());
  launch(*kernels::cuda(), current_stream());
  check_launch(kernel);
}

// As many rows as are worth a thread.
inline int64_t row_grain(int64_t elements_per_row) {
  constexpr int64_t kElementsPerTask = 16384;
  return std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, elements_per_row));
}

// Runs `work(first, last)` over 0 .. rows, in parallel where the rows are worth it.
template <typename Work>
void for_row_ranges(int64_t rows, int64_t elements_per_row, const Work& work) {
  for_ranges(rows, row_grain(elements_per_row), work);
}

}  // namespace precis::ops
