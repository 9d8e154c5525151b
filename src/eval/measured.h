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

// The cluster of each item, as any number; empty: each item is a cluster of its own. Items of a
// cluster, such as questions about one text, are not independent of each other, so that the
// bootstrap draws whole clusters (Davison and Hinkley 1997, section 3.8). Without this, intervals
// would be too narrow.
using Clusters = std::span<const int64_t>;

// statistic(items): the value over the items with these indices. REQUIRES: num_items >= 1, a
// cluster for each item or none.
Measured measure(int64_t num_items,
                 const std::function<double(std::span<const int64_t> items)>& statistic,
                 Clusters clusters = {});

// Of one value per item. REQUIRES: at least one.
Measured mean_of(std::span<const double> values, Clusters clusters = {});
Measured median_of(std::span<const double> values, Clusters clusters = {});

// The mean of left - right, paired by item.
// REQUIRES: equal sizes, at least one item.
Measured mean_difference(std::span<const double> left,
                         std::span<const double> right,
                         Clusters clusters = {});

// sum(above) / sum(below) over items; none where sum(below) is not above 0. REQUIRES: equal sizes,
// at least one item.
std::optional<Measured> ratio_of_sums(std::span<const double> above,
                                      std::span<const double> below,
                                      Clusters clusters = {});

// The share of the full text's gain over the losses `from` that an arm has: (from - arm) / (from -
// full), a ratio of sums. None if the full text gains nothing. REQUIRES: equal sizes, at least one
// item.
std::optional<Measured> gained_share(std::span<const double> from,
                                     std::span<const double> arm,
                                     std::span<const double> full,
                                     Clusters clusters = {});

}  // namespace precis
