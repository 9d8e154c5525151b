// SPDX-License-Identifier: Apache-2.0
#include "ops/gather_rows.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {

// Does not copy `first`, which may be a model's whole embedding table.
at::Tensor reference::gather_rows(const at::Tensor& first,
                                  const at::Tensor& second,
                                  const at::Tensor& indices) {
  const int64_t num_first = first.size(0);
  if (second.size(0) == 0) return first.index_select(0, indices);
  if (num_first == 0) return second.index_select(0, indices);
  return at::where((indices < num_first).unsqueeze(1),
                   first.index_select(0, indices.clamp_max(num_first - 1)),
                   second.index_select(0, (indices - num_first).clamp_min(0)));
}

at::Tensor gather_rows(const at::Tensor& first,
                       const at::Tensor& second,
                       const at::Tensor& indices) {
  PRECIS_CHECK(first.dim() == 2 && second.dim() == 2 && first.size(1) == second.size(1) &&
                   first.scalar_type() == second.scalar_type() && indices.dim() == 1 &&
                   indices.scalar_type() == at::kLong,
               kInvalidArgument,
               "gather_rows: ",
               indices.sizes(),
               " of rows ",
               first.sizes(),
               " and ",
               second.sizes());
  if (!gpu_kernel_applies(first, {second}) || indices.device() != first.device())
    return reference::gather_rows(first, second, indices);
  const at::Tensor a = first.contiguous(), b = second.contiguous(), rows = indices.contiguous();
  at::Tensor out = at::empty({rows.size(0), a.size(1)}, a.options());
  const kernels::GatherRowsArguments arguments{a.const_data_ptr(),
                                               b.const_data_ptr(),
                                               rows.const_data_ptr<int64_t>(),
                                               out.mutable_data_ptr(),
                                               a.size(0),
                                               a.size(1)};
  on_gpu(a, "gather_rows", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.gather_rows(element_of(a), arguments, rows.size(0), stream);
  });
  return out;
}

}  // namespace precis::ops
