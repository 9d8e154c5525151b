// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda_kernels.h"

namespace precis::ops {

// ATen's current stream of the current device. REQUIRES: a build with CUDA.
kernels::Stream current_stream();

}  // namespace precis::ops
