// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/cuda_kernels.h"
#include "models/executors/cpu_team.h"
#include "ops/rotary.h"

namespace precis::ops {

// All on one device. Tables are read when the kernels run, so that what was queued once can be
// queued again over other numbers in the same place.
struct PagedStepInput {
  at::Tensor x;              // [sequences, hidden], of the model's dtype
  RotaryTable rotary;        // of layers without a window
  RotaryTable local_rotary;  // of layers with one
  at::Tensor lengths;        // [sequences] int64: rows held before the new one
  at::Tensor pages;          // [sequences, pages of the longest] int64: addresses, as ops/pages.h
                             // has them, of all rows and the new one; those beyond are not read
};

// Kernels, and the queue that they join.
struct Gpu {
  const kernels::CudaKernelTable& kernels;
  kernels::Stream stream;
};

// Whether the kernels know the model's dtype and heads.
bool paged_decode_step_applies(const StepModel& model,
                               const at::Tensor& x,
                               const kernels::CudaKernelTable& kernels);

// decode_step() on a GPU over a paged cache: all layers and the final norm over the next row of
// each sequence, whose keys and values are written into its pages. [sequences, hidden], of x's
// dtype. What layers add up is float32, what products read and leave of x's dtype. Nothing waits
// for the GPU. Biases are of x's dtype here. REQUIRES: paged_decode_step_applies, gradients off,
// kernels of the device that x lies on.
at::Tensor paged_decode_step(const StepModel& model, const PagedStepInput& input, const Gpu& gpu);

}  // namespace precis::ops
