// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "eval/words.h"

namespace precis {

// Counts of n-grams of `order` words. REQUIRES: no word holds a space.
using NgramCounts = std::unordered_map<std::string, int64_t>;
NgramCounts count_ngrams(const Words& words, int64_t order);

// Number of n-grams of `order` words, repeated ones included.
int64_t num_ngrams(const Words& words, int64_t order);

// Number of shared n-grams: the sum of the smaller counts.
int64_t num_shared(const NgramCounts& left, const NgramCounts& right);

// Harmonic mean of shared / left and shared / right, which is 2 shared / (left + right); 0 if
// nothing is shared.
double f_measure(int64_t shared, int64_t left, int64_t right);

}  // namespace precis
