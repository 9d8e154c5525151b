// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernels.h"

namespace precis::kernels {

void forward_selection(const ForwardSelectionArguments& arguments);

}  // namespace precis::kernels
