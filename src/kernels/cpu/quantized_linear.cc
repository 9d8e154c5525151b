// SPDX-License-Identifier: Apache-2.0
// Compiled for every instruction set that Highway knows; the processor's own is picked at run time.
#define HWY_TARGET_INCLUDE "kernels/cpu/quantized_linear-inl.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/cpu/quantization.h"
#include "kernels/cpu/quantized_linear-inl.h"

namespace precis::kernels {

HWY_EXPORT(quantized_outputs);

void quantized_linear(const QuantizedLinearArguments& a, int64_t first_tile, int64_t last_tile) {
  HWY_DYNAMIC_DISPATCH(quantized_outputs)
  (a, first_tile * kOutputsPerTile, std::min(last_tile * kOutputsPerTile, a.outputs));
}

}  // namespace precis::kernels
