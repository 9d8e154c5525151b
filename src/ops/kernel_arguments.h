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

// Whether CPU kernels may replace the reference: all tensors on the CPU, x in a dtype of the
// kernels, no gradient required.
bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// The same for an op with a backward kernel: x may require a gradient.
bool kernel_and_backward_apply(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// Whether GPU kernels may replace the reference: a build with CUDA, all tensors on one GPU, x in a
// dtype of the kernels, no gradient required.
bool gpu_kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others = {});

// Whether x is aligned to 16 bytes, the widest load of GPU kernels.
bool may_be_read_in_packs(const at::Tensor& x);

kernels::Element element_of(const at::Tensor& x);

// Throws kInternal with the kernel's name if an earlier launch failed.
void check_launch(const char* kernel);

// Queues a kernel, launch(table, stream), on the GPU of x.
template <typename Launch>
void on_gpu(const at::Tensor& x, const char* kernel, const Launch& launch) {
  const c10::DeviceGuard device(x.device());
  launch(*kernels::cuda(), current_stream());
  check_launch(kernel);
}

// Fewest rows that are worth a thread.
inline int64_t row_grain(int64_t elements_per_row) {
  constexpr int64_t kElementsPerTask = 16384;
  return std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, elements_per_row));
}

// Runs `work(first, last)` over 0 .. rows, in parallel if there are enough elements.
template <typename Work>
void for_row_ranges(int64_t rows, int64_t elements_per_row, const Work& work) {
  for_ranges(rows, row_grain(elements_per_row), work);
}

}  // namespace precis::ops
