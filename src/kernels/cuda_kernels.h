// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

using Stream = void*;  // a cudaStream_t

// Kernels on the current device. A call queues a whole problem on a stream. Pointers are device
// memory, and must stay valid until the stream has run the kernel.
struct CudaKernelTable {
  void (*rms_norm)(Element, const RmsNormArguments&, int64_t rows, Stream);
  void (*add_rms_norm)(Element, const AddRmsNormArguments&, int64_t rows, Stream);
  void (*rotary)(Element, const RotaryArguments&, int64_t rows, Stream);
  // The next two need head_dim of at most widest_head, rotary_append an even one.
  void (*rotary_append)(Element, const PagedAppendArguments&, int64_t rows, Stream);
  void (*paged_attention)(Element, const PagedAttentionArguments&, int64_t sequences, Stream);
  void (*write_pages)(Element, const WritePagesArguments&, int64_t rows, Stream);
  void (*read_pages)(Element, const ReadPagesArguments&, int64_t rows, Stream);
  void (*gated_activation)(Element, const GatedActivationArguments&, int64_t rows, Stream);
  void (*gather_rows)(Element, const GatherRowsArguments&, int64_t rows, Stream);
  void (*weight_only_linear)(Element, const WeightOnlyLinearArguments&, Stream);
  void (*sample)(const SampleArguments&, int64_t rows, Stream);
  int64_t widest_head;
  // Message of the last CUDA error since the previous call, or null.
  const char* (*error)();
};

// Null in a build without CUDA.
const CudaKernelTable* cuda();

}  // namespace precis::kernels
