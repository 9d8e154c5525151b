// SPDX-License-Identifier: Apache-2.0
#include "engine/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "base/check.h"
#include "base/processor.h"

namespace precis {

c10::TensorOptions tensor_options(const EngineOptions& options) {
  const bool cuda = options.device == DeviceKind::kCuda;
  PRECIS_CHECK(
      !cuda || at::hasCUDA(), kUnsupported, "engine: no CUDA device, or a build without CUDA");
  const Dtype dtype =
      options.dtype.value_or(cuda || processor_has_bfloat16() ? Dtype::kBFloat16 : Dtype::kFloat32);
  return c10::TensorOptions()
      .dtype(dtype == Dtype::kFloat32 ? c10::kFloat : c10::kBFloat16)
      .device(cuda ? c10::impl::VirtualGuardImpl(c10::kCUDA).getDevice() : c10::Device(c10::kCPU));
}

}  // namespace precis
