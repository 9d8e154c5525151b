// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

// Entry of KernelTable, in a file of its own because Highway compiles it.
void linear(Element element, const LinearArguments& a, int64_t first_output, int64_t last_output);

}  // namespace precis::kernels
