// SPDX-License-Identifier: Apache-2.0
#include <c10/cuda/CUDAStream.h>

#include "ops/stream.h"

namespace precis::ops {

kernels::Stream current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

}  // namespace precis::ops
