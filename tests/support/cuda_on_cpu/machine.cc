// SPDX-License-Identifier: Apache-2.0
#include "support/cuda_on_cpu/table.h"
#include "support/kernel_machine.h"

namespace precis {

bool has_kernel_machine() { return true; }
KernelMachine kernel_machine() { return {cuda_on_cpu::table(), at::kCPU, nullptr}; }

}  // namespace precis
