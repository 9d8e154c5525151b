// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "eval/bootstrap.h"

namespace precis {

// A statistic over items with its 95 % bootstrap interval.
struct Measured {
  double value = 0;
  Interval interval{};
};

// statistic(items): the value over the items with these indices. REQUIRES: num_items >= 1.
Measured measure(int64_t num_items,
                 const std::function<double(std::span<const int64_t> items)>& statistic);

// Of one value per item. REQUIRES: at least one.
Measured mean_of(std::span<const double> values);
Measured median_of(std::span<const double> values);

// The mean of left - right, paired by item.
// REQUIRES: equal sizes, at least one item.
Measured mean_difference(std::span<const double> left, std::span<const double> right);

// sum(above) / sum(below) over items; none where sum(below) is not above 0. REQUIRES: equal sizes,
// at least one item.
std::optional<Measured> ratio_of_sums(std::span<const double> above, std::span<const double> below);

// The share of the full text's gain over the losses `from` that an arm has: (from - arm) / (from -
// full), a ratio of sums. None if the full text gains nothing. REQUIRES: equal sizes, at least one
// item.
std::optional<Measured> gained_share(std::span<const double> from,
                                     std::span<const double> arm,
                                     std::span<const double> full);

}  // namespace precis
