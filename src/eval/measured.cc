// SPDX-License-Identifier: Apache-2.0
#include "eval/measured.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace precis {
namespace {

double share_over(std::span<const double> none,
                  std::span<const double> arm,
                  std::span<const double> full,
                  std::span<const int64_t> items) {
  double gained = 0, possible = 0;
  for (const int64_t i : items) {
    gained += none[i] - arm[i];
    possible += none[i] - full[i];
  }
  // A drawn sample with nothing to gain says nothing.
  return possible > 0 ? gained / possible : std::numeric_limits<double>::quiet_NaN();
}

std::vector<int64_t> all_of(int64_t num_items) {
  std::vector<int64_t> items(num_items);
  std::iota(items.begin(), items.end(), 0);
  return items;
}

}  // namespace

Measured measure(int64_t num_items,
                 const std::function<double(std::span<const int64_t> items)>& statistic) {
  return {statistic(all_of(num_items)), bootstrap_interval(num_items, statistic)};
}

Measured mean_of(std::span<const double> values) {
  return measure(std::ssize(values), [&](std::span<const int64_t> items) {
    double sum = 0;
    for (const int64_t i : items) sum += values[i];
    return sum / static_cast<double>(items.size());
  });
}

Measured median_of(std::span<const double> values) {
  return measure(std::ssize(values), [&](std::span<const int64_t> items) {
    std::vector<double> drawn;
    for (const int64_t i : items) drawn.push_back(values[i]);
    const auto middle = drawn.begin() + std::ssize(drawn) / 2;
    std::nth_element(drawn.begin(), middle, drawn.end());
    if (drawn.size() % 2 == 1) return *middle;
    return (*std::max_element(drawn.begin(), middle) + *middle) / 2;
  });
}

std::optional<Measured> recovered_share(std::span<const double> none,
                                        std::span<const double> arm,
                                        std::span<const double> full) {
  const double possible = std::accumulate(none.begin(), none.end(), 0.0) -
                          std::accumulate(full.begin(), full.end(), 0.0);
  if (!(possible > 0)) return std::nullopt;
  return measure(std::ssize(none), [&](std::span<const int64_t> items) {
    return share_over(none, arm, full, items);
  });
}

}  // namespace precis
