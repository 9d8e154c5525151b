// SPDX-License-Identifier: Apache-2.0
#include "ops/kernel_arguments.h"

#include <c10/core/GradMode.h>

#include "base/check.h"

namespace precis::ops {

namespace {

bool known_to_kernels(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
}

bool wants_gradient(const at::Tensor& x) {
  return c10::GradMode::is_enabled() && x.requires_grad();
}

bool on_its_device_without_gradient(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  return std::all_of(others.begin(), others.end(), [&](const at::Tensor& other) {
    return !other.defined() || (other.device() == x.device() && !wants_gradient(other));
  });
}

}  // namespace

bool kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  return !wants_gradient(x) && kernel_and_backward_apply(x, others);
}

bool kernel_and_backward_apply(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  return x.is_cpu() && known_to_kernels(x) && on_its_device_without_gradient(x, others);
}

bool gpu_kernel_applies(const at::Tensor& x, std::initializer_list<at::Tensor> others) {
  return x.is_cuda() && kernels::cuda() != nullptr && known_to_kernels(x) && !wants_gradient(x) &&
         on_its_device_without_gradient(x, others);
}

bool may_be_read_in_packs(const at::Tensor& x) {
  constexpr uintptr_t kPackBytes = 16;
  return reinterpret_cast<uintptr_t>(x.const_data_ptr()) % kPackBytes == 0;
}

void check_launch(const char* kernel) {
  const char* const error = kernels::cuda()->error();
  PRECIS_CHECK(error == nullptr, kInternal, kernel, ": CUDA error: ", error);
}

kernels::Element element_of(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? kernels::Element::kFloat32 : kernels::Element::kBFloat16;
}

}  // namespace precis::ops
