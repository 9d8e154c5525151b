// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "eval/bootstrap.h"

namespace precis {

// A value over items, with its 95 % bootstrap interval (items drawn again, with replacement).
struct Measured {
  double value = 0;
  Interval interval{};
};

// statistic(items): the value over the items of these indices. REQUIRES: num_items >= 1.
Measured measure(int64_t num_items,
                 const std::function<double(std::span<const int64_t> items)>& statistic);

// Over one value for each item. REQUIRES: at least one.
Measured mean_of(std::span<const double> values);
Measured median_of(std::span<const double> values);

// How much of what the full text gains over none an arm gains: (none - arm) / (none - full), a
// ratio of sums over items, each of which has a loss in every arm. None where the full text gains
// nothing. REQUIRES: equal sizes.
std::optional<Measured> recovered_share(std::span<const double> none,
                                        std::span<const double> arm,
                                        std::span<const double> full);

}  // namespace precis
