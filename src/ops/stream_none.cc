// SPDX-License-Identifier: Apache-2.0
// In place of stream_cuda.cc in a build without CUDA.
#include "base/check.h"
#include "ops/stream.h"

namespace precis::ops {

kernels::Stream current_stream() { fail(ErrorKind::kInternal, "a stream in a build without CUDA"); }

}  // namespace precis::ops
