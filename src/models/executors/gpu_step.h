// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/cuda_kernels.h"
#include "models/layer.h"

namespace precis::models {

// All on one device. Kernels read the tables when they run, so that a captured step can be replayed
// with new values in the same memory.
struct GpuStepInput {
  at::Tensor x;  // [sequences, hidden], of the model's dtype
  RotaryTables rotary;
  at::Tensor lengths;  // [sequences] int64: tokens held before the new one
  // [sequences, blocks of the longest] int64: addresses of the blocks of all tokens and the new
  // one, as ops/kv_blocks.h has them; those beyond are not read.
  at::Tensor blocks;
};

// Kernels, and the stream that they are queued on.
struct Gpu {
  const kernels::CudaKernelTable& kernels;
  kernels::Stream stream;
};

// Whether the kernels support the model's dtype and head size.
bool gpu_step_applies(const LayerStack& stack,
                      const at::Tensor& x,
                      const kernels::CudaKernelTable& kernels);

// A decode step on a GPU: all layers and the final norm over one new token of each sequence, whose
// keys and values are written into its blocks. -> [sequences, hidden], of x's dtype. The residual
// stream is float32; products read and write x's dtype. Does not wait for the GPU. REQUIRES:
// gpu_step_applies, gradients off, kernels of the device that x is on.
at::Tensor gpu_step(const LayerStack& stack, const GpuStepInput& input, const Gpu& gpu);

}  // namespace precis::models
