// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace precis {

struct Interval {
  double low;
  double high;
};

// The 95 % percentile bootstrap interval (Efron 1979) of a statistic of `num_items` items: of 2,000
// samples drawn with replacement, the 2.5th and 97.5th percentile, interpolated. `statistic` takes
// the drawn items, `num_items` indices in 0 .. num_items - 1; samples where it is not finite are
// left out. Draws depend on seed and `num_items` only and are the same on every platform. With few
// items (under about 20) such intervals are too narrow.
// Throws kInvalidArgument if there is no item, or no sample where the statistic is finite.
Interval bootstrap_interval(int64_t num_items,
                            const std::function<double(std::span<const int64_t> drawn)>& statistic,
                            uint64_t seed = 1);

}  // namespace precis
