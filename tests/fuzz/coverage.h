// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace precis::fuzz {

// What code a run passes through, where the library was built with -fsanitize-coverage=trace-pc
// (preset "fuzz"); elsewhere no run passes through anything.

void begin_coverage();
// Whether the run since begin_coverage() took a way that none before it did. Counts it as taken.
bool end_coverage();

}  // namespace precis::fuzz
