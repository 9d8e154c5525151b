// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis {

// Bounds of attention matching's work, shared by the fit and the count of its FLOPs.
inline constexpr int64_t kMostQueries = 2048;  // of a key/value head and pass
inline constexpr int64_t kFitBlock = 1024;     // cached tokens that are fitted together
inline constexpr int64_t kCandidates = 3;      // candidates of a block for each token to be kept
inline constexpr int64_t kSelectionQueries = 512;  // at least, or the number of candidates

}  // namespace precis
