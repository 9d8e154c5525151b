// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/TensorOptions.h>

#include "precis/options.h"

namespace precis {

// Dtype and device that the options ask for. Throws kUnsupported for CUDA where there is none.
c10::TensorOptions tensor_options(const EngineOptions& options);

}  // namespace precis
