// SPDX-License-Identifier: Apache-2.0
// Included before every file (the preset avx2), so that the library takes the ways that it takes on
// a processor with AVX2 alone: what it picks at run time is picked here.
#pragma once

// Of the versions that plain loops are compiled for, the one for AVX2.
#define target_clones(...) target("arch=x86-64-v3")
// Asked for AVX-512 BF16 only (base/processor.h).
#define __builtin_cpu_supports(feature) false
#define HWY_DISABLED_TARGETS (HWY_AVX3 | HWY_AVX3_DL)
