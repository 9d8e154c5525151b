// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace precis {

// Whether this processor has bfloat16 products (AVX-512 BF16). Without them, ATen's
// bfloat16 products are a hundred times slower than its float32 ones.
inline bool processor_has_bfloat16() { return __builtin_cpu_supports("avx512bf16"); }

}  // namespace precis
