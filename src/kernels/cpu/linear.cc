// SPDX-License-Identifier: Apache-2.0
// Compiled for every instruction set that Highway knows; the processor's own is picked at run time.
#include "kernels/cpu/linear.h"

#define HWY_TARGET_INCLUDE "kernels/cpu/linear-inl.h"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/cpu/linear-inl.h"

namespace precis::kernels {

HWY_EXPORT(linear_f32);
HWY_EXPORT(linear_bf16);

void linear(Element element, const LinearArguments& a, int64_t first, int64_t last) {
  if (element == Element::kFloat32)
    HWY_DYNAMIC_DISPATCH(linear_f32)(a, first, last);
  else
    HWY_DYNAMIC_DISPATCH(linear_bf16)(a, first, last);
}

}  // namespace precis::kernels
