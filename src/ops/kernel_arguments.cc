// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel_arguments.h"

#include <c10/core/GradMode.h>

namespace precis::ops {

bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  if (!x.is_cpu() || (x.scalar_type() != at::kFloat && x.scalar_type() != at::kBFloat16))
    return false;
  if (!c10::GradMode::is_enabled()) return true;
  return !x.requires_grad() && std::none_of(others.begin(), others.end(), [](const at::Tensor& t) {
    return t.requires_grad();
  });
}

kernels::Element element_of(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? kernels::Element::kFloat32 : kernels::Element::kBFloat16;
}

}  // namespace precis::ops
