// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace precis {

// Bounds of attention matching's work, for those who do it and those who count it.
inline constexpr int64_t kMostQueries = 2048;      // reference queries of a key/value head
inline constexpr int64_t kFitBlock = 1024;         // cached tokens that are fitted together
inline constexpr int64_t kCandidates = 3;          // of a block, for each token to be kept
inline constexpr int64_t kSelectionQueries = 512;  // at least; and as many as there are candidates

}  // namespace precis
