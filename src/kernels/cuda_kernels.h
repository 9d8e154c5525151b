// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

using Stream = void*;  // a cudaStream_t

// Kernels on the current device: whole problems, queued on a stream. Pointers are the device's, and
// what arguments point at stays until the stream is done.
struct CudaKernelTable {
  void (*rms_norm)(Element, const RmsNormArguments&, int64_t rows, Stream);
  void (*add_rms_norm)(Element, const AddRmsNormArguments&, int64_t rows, Stream);
  void (*rotary)(Element, const RotaryArguments&, int64_t rows, Stream);
  // head_dim of the next two is at most widest_head, and even where it is turned.
  void (*rotary_append)(Element, const PagedAppendArguments&, int64_t rows, Stream);
  void (*paged_attention)(Element, const PagedAttentionArguments&, int64_t sequences, Stream);
  void (*write_pages)(Element, const WritePagesArguments&, int64_t rows, Stream);
  void (*read_pages)(Element, const ReadPagesArguments&, int64_t rows, Stream);
  void (*gated_activation)(Element, const GatedActivationArguments&, int64_t rows, Stream);
  void (*gather_rows)(Element, const GatherRowsArguments&, int64_t rows, Stream);
  void (*weight_only_linear)(Element, const WeightOnlyLinearArguments&, Stream);
  void (*sample)(const SampleArguments&, int64_t rows, Stream);
  int64_t widest_head;
  // What went wrong since the last call, or null.
  const char* (*error)();
};

// Null in a build without CUDA.
const CudaKernelTable* cuda();

}  // namespace precis::kernels
