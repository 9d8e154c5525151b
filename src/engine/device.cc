// SPDX-License-Identifier: Apache-2.0
#include "engine/device.h"

#include <ATen/Context.h>

#include "base/check.h"

namespace precis {

bool cpu_has_bfloat16() { return __builtin_cpu_supports("avx512bf16"); }

c10::TensorOptions tensor_options(const EngineOptions& options) {
  const bool cuda = options.device == DeviceKind::kCuda;
  PRECIS_CHECK(
      !cuda || at::hasCUDA(), kUnsupported, "engine: no CUDA device, or a build without CUDA");
  const Dtype dtype =
      options.dtype.value_or(cuda || cpu_has_bfloat16() ? Dtype::kBFloat16 : Dtype::kFloat32);
  return c10::TensorOptions()
      .dtype(dtype == Dtype::kFloat32 ? c10::kFloat : c10::kBFloat16)
      .device(cuda ? c10::kCUDA : c10::kCPU);
}

}  // namespace precis
