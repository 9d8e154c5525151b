// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/TensorOptions.h>

#include "precis/options.h"

namespace precis {

// Dtype and device of the options. Throws kUnsupported for CUDA if there is no CUDA device.
c10::TensorOptions tensor_options(const EngineOptions& options);

}  // namespace precis
