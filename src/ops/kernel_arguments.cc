// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel_arguments.h"

#include <c10/core/GradMode.h>

namespace precis::ops {

namespace {

bool known_to_kernels(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

}  // namespace

bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  const bool wants_gradient = c10::GradMode::is_enabled() && x.requires_grad();
  return !wants_gradient && kernel_and_backward_apply(x, others);
}

bool kernel_and_backward_apply(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  if (!known_to_kernels(x)) return false;
  if (!c10::GradMode::is_enabled()) return true;
  return std::none_of(
      others.begin(), others.end(), [](const at::Tensor& t) { return t.requires_grad(); });
}

kernels::Element element_of(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? kernels::Element::kFloat32 : kernels::Element::kBFloat16;
}

}  // namespace precis::ops
