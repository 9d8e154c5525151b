// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// The same numbers on a device. A GPU is not waited for: they are copied behind what is queued.
at::Tensor copy_to_device_async(const at::Tensor& x, c10::Device device);

}  // namespace precis::ops
