// SPDX-License-Identifier: Apache-2.0
#include "eval/measured.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

namespace precis {
namespace {

double ratio_over(std::span<const double> above,
                  std::span<const double> below,
                  std::span<const int64_t> items) {
  double sum_above = 0, sum_below = 0;
  for (const int64_t i : items) {
    sum_above += above[i];
    sum_below += below[i];
  }
  // bootstrap_interval() leaves out samples that are not finite.
  return sum_below > 0 ? sum_above / sum_below : std::numeric_limits<double>::quiet_NaN();
}

std::vector<double> differences(std::span<const double> left, std::span<const double> right) {
  std::vector<double> all(left.size());
  std::ranges::transform(left, right, all.begin(), std::minus<>());
  return all;
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

Measured mean_difference(std::span<const double> left, std::span<const double> right) {
  return mean_of(differences(left, right));
}

std::optional<Measured> ratio_of_sums(std::span<const double> above,
                                      std::span<const double> below) {
  const auto ratio = [&](std::span<const int64_t> items) {
    return ratio_over(above, below, items);
  };
  if (!std::isfinite(ratio(all_of(std::ssize(below))))) return std::nullopt;
  return measure(std::ssize(below), ratio);
}

std::optional<Measured> gained_share(std::span<const double> from,
                                     std::span<const double> arm,
                                     std::span<const double> full) {
  return ratio_of_sums(differences(from, arm), differences(from, full));
}

}  // namespace precis
