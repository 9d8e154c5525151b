// SPDX-License-Identifier: Apache-2.0
#pragma once

// Before a function: it is compiled for three instruction sets, of which the loader picks one. It
// does so by code that runs before ThreadSanitizer's own, which is why that has one set only.
#ifdef __SANITIZE_THREAD__
#define PRECIS_TARGET_CLONES
#else
#define PRECIS_TARGET_CLONES \
  [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#endif
