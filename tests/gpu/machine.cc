// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>

#include "ops/stream.h"
#include "support/kernel_machine.h"

namespace precis {

bool has_kernel_machine() { return at::hasCUDA(); }
KernelMachine kernel_machine() { return {*kernels::cuda(), at::kCUDA, ops::current_stream()}; }

}  // namespace precis
