// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace precis {

// Whether this processor multiplies bfloat16 numbers itself (AVX-512 BF16). Without that, ATen's
// bfloat16 products are a hundred times slower than its float32 ones.
inline bool processor_has_bfloat16() { return __builtin_cpu_supports("avx512bf16"); }

}  // namespace precis
