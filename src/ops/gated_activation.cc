// SPDX-License-Identifier: Apache-2.0
#include "ops/gated_activation.h"

#include <ATen/ATen.h>

#include "base/check.h"
#include "ops/custom_backward.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

at::Tensor by_kernel(const at::Tensor& gate_up, DecoderConfig::Activation activation) {
  const int64_t width = gate_up.size(1) / 2;
  at::Tensor out = at::empty({gate_up.size(0), width}, gate_up.options());
  const kernels::GatedActivationArguments arguments{
      gate_up.const_data_ptr(),
      out.mutable_data_ptr(),
      width,
      activation == DecoderConfig::Activation::kGeluTanh};
  if (gate_up.is_cuda()) {
    on_gpu(gate_up,
           "gated_activation",
           [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
             gpu.gated_activation(element_of(gate_up), arguments, gate_up.size(0), stream);
           });
    return out;
  }
  for_row_ranges(gate_up.size(0), 4 * width, [&](int64_t first, int64_t last) {
    kernels::cpu().gated_activation(element_of(gate_up), arguments, first, last);
  });
  return out;
}

at::Tensor backward_by_kernel(const at::Tensor& gate_up,
                              DecoderConfig::Activation activation,
                              const at::Tensor& gradient) {
  const int64_t width = gate_up.size(1) / 2;
  const at::Tensor own = gradient.contiguous();
  at::Tensor out = at::empty_like(gate_up);
  const kernels::GatedActivationBackwardArguments arguments{
      gate_up.const_data_ptr(),
      own.const_data_ptr(),
      out.mutable_data_ptr(),
      width,
      activation == DecoderConfig::Activation::kGeluTanh};
  for_row_ranges(gate_up.size(0), 6 * width, [&](int64_t first, int64_t last) {
    kernels::cpu().gated_activation_backward(element_of(gate_up), arguments, first, last);
  });
  return out;
}

}  // namespace

at::Tensor reference::gated_activation(const at::Tensor& gate_up,
                                       DecoderConfig::Activation activation) {
  const auto halves = gate_up.chunk(2, -1);
  const at::Tensor gate = activation == DecoderConfig::Activation::kSilu
                              ? at::silu(halves[0])
                              : at::gelu(halves[0], "tanh");
  return gate * halves[1];
}

at::Tensor gated_activation(const at::Tensor& gate_up, DecoderConfig::Activation activation) {
  PRECIS_CHECK(gate_up.dim() == 2 && gate_up.size(1) % 2 == 0,
               kInvalidArgument,
               "gated_activation: expected [n, 2 * width], got [",
               gate_up.sizes(),
               "]");
  if (gate_up.is_contiguous() && gpu_kernel_applies(gate_up)) return by_kernel(gate_up, activation);
  if (!gate_up.is_contiguous() || !kernel_and_backward_apply(gate_up))
    return reference::gated_activation(gate_up, activation);
  return with_backward(
      gate_up,
      [&](const at::Tensor& input) { return by_kernel(input, activation); },
      [activation](const at::Tensor& input, const at::Tensor& gradient) {
        return backward_by_kernel(input, activation, gradient);
      });
}

}  // namespace precis::ops
