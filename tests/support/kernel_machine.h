// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/cuda_kernels.h"

namespace precis {

// Where a test program runs GPU kernels: in the harness on the CPU, or on a GPU.
struct KernelMachine {
  const kernels::CudaKernelTable& table;
  c10::Device device;
  kernels::Stream stream;
};

bool has_kernel_machine();
KernelMachine kernel_machine();

}  // namespace precis
