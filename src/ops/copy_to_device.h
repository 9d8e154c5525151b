// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace precis::ops {

// Copies a tensor to a device. A copy to a GPU is queued on the current stream and not waited for.
at::Tensor copy_to_device_async(const at::Tensor& x, c10::Device device);

}  // namespace precis::ops
