// SPDX-License-Identifier: Apache-2.0
#include "ops/gather_rows.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {

at::Tensor with_rows(const at::Tensor& rows, const at::Tensor& others, const at::Tensor& sources) {
  return at::where(
      (sources < 0).unsqueeze(1), others.index_select(0, (-1 - sources).clamp_min(0)), rows);
}

at::Tensor reference::gather_rows(const at::Tensor& table,
                                  const at::Tensor& others,
                                  const at::Tensor& sources) {
  if (others.size(0) == 0) return table.index_select(0, sources);
  return with_rows(table.index_select(0, sources.clamp_min(0)), others, sources);
}

at::Tensor gather_rows(const at::Tensor& table,
                       const at::Tensor& others,
                       const at::Tensor& sources) {
  PRECIS_CHECK(table.dim() == 2 && others.dim() == 2 && table.size(1) == others.size(1) &&
                   table.scalar_type() == others.scalar_type() && sources.dim() == 1 &&
                   sources.scalar_type() == at::kLong,
               kInvalidArgument,
               "gather_rows: ",
               sources.sizes(),
               " of rows ",
               table.sizes(),
               " and ",
               others.sizes());
  if (!gpu_kernel_applies(table, {others}) || sources.device() != table.device())
    return reference::gather_rows(table, others, sources);
  const at::Tensor first = table.contiguous(), second = others.contiguous();
  const at::Tensor rows = sources.contiguous();
  at::Tensor out = at::empty({rows.size(0), first.size(1)}, first.options());
  const kernels::GatherRowsArguments arguments{first.const_data_ptr(),
                                               second.const_data_ptr(),
                                               rows.const_data_ptr<int64_t>(),
                                               out.mutable_data_ptr(),
                                               first.size(1)};
  on_gpu(first, "gather_rows", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.gather_rows(element_of(first), arguments, rows.size(0), stream);
  });
  return out;
}

}  // namespace precis::ops
