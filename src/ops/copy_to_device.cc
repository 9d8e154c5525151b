// SPDX-License-Identifier: Apache-2.0
#include "ops/copy_to_device.h"

#include <ATen/ATen.h>

namespace precis::ops {

at::Tensor copy_to_device_async(const at::Tensor& x, c10::Device device) {
  if (x.device() == device) return x;
  // ATen waits for copies from memory that is not pinned.
  return x.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace precis::ops
