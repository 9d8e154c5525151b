// SPDX-License-Identifier: Apache-2.0
#include "ops/rms_norm.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "kernels/kernels.h"
#include "ops/custom_backward.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

at::Tensor by_kernel(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor rows = x.contiguous();
  at::Tensor out = at::empty_like(rows);
  const int64_t width = rows.size(-1);
  const kernels::RmsNormArguments arguments{rows.const_data_ptr(),
                                            weight.const_data_ptr<float>(),
                                            out.mutable_data_ptr(),
                                            width,
                                            static_cast<float>(epsilon)};
  const int64_t num_rows = rows.numel() / width;
  if (rows.is_cuda()) {
    on_gpu(rows, "rms_norm", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
      gpu.rms_norm(element_of(rows), arguments, num_rows, stream);
    });
    return out;
  }
  for_row_ranges(num_rows, width, [&](int64_t first, int64_t last) {
    kernels::cpu().rms_norm(element_of(rows), arguments, first, last);
  });
  return out;
}

at::Tensor backward_by_kernel(const at::Tensor& x,
                              const at::Tensor& weight,
                              double epsilon,
                              const at::Tensor& gradient) {
  const at::Tensor rows = x.contiguous(), own = gradient.contiguous();
  at::Tensor out = at::empty_like(rows);
  const int64_t width = rows.size(-1);
  const kernels::RmsNormBackwardArguments arguments{rows.const_data_ptr(),
                                                    weight.const_data_ptr<float>(),
                                                    own.const_data_ptr(),
                                                    out.mutable_data_ptr(),
                                                    width,
                                                    static_cast<float>(epsilon)};
  for_row_ranges(rows.numel() / width, 2 * width, [&](int64_t first, int64_t last) {
    kernels::cpu().rms_norm_backward(element_of(rows), arguments, first, last);
  });
  return out;
}

}  // namespace

at::Tensor reference::rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const at::Tensor scale = wide.square().mean(-1, true).add(epsilon).rsqrt();
  return (wide * scale * weight).to(x.scalar_type());
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  PRECIS_CHECK(weight.dim() == 1 && x.size(-1) == weight.size(0),
               kInvalidArgument,
               "rms_norm: rows have ",
               x.size(-1),
               " elements, the weight ",
               weight.numel());
  if (gpu_kernel_applies(x, {weight})) return by_kernel(x, weight, epsilon);
  if (!kernel_and_backward_apply(x, {weight})) return reference::rms_norm(x, weight, epsilon);
  return with_backward(
      x,
      [&](const at::Tensor& input) { return by_kernel(input, weight, epsilon); },
      [weight, epsilon](const at::Tensor& input, const at::Tensor& gradient) {
        return backward_by_kernel(input, weight, epsilon, gradient);
      });
}

}  // namespace precis::ops
