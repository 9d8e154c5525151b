// SPDX-License-Identifier: Apache-2.0
#include "eval/measured.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
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

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*std::max_element(values.begin(), middle) + *middle) / 2;
}

// The items of each cluster.
std::vector<std::vector<int64_t>> members_of(Clusters clusters) {
  std::map<int64_t, std::vector<int64_t>> by_cluster;
  for (size_t i = 0; i < clusters.size(); ++i)
    by_cluster[clusters[i]].push_back(static_cast<int64_t>(i));
  std::vector<std::vector<int64_t>> members;
  for (auto& [cluster, items] : by_cluster) members.push_back(std::move(items));
  return members;
}

}  // namespace

Measured measure(int64_t num_items,
                 const std::function<double(std::span<const int64_t> items)>& statistic,
                 Clusters clusters) {
  const double value = statistic(all_of(num_items));
  if (clusters.empty()) return {value, bootstrap_interval(num_items, statistic)};
  const std::vector<std::vector<int64_t>> members = members_of(clusters);
  const auto of_clusters = [&](std::span<const int64_t> drawn) {
    std::vector<int64_t> items;
    for (const int64_t cluster : drawn)
      items.insert(items.end(), members[cluster].begin(), members[cluster].end());
    return statistic(items);
  };
  return {value, bootstrap_interval(std::ssize(members), of_clusters)};
}

Measured mean_of(std::span<const double> values, Clusters clusters) {
  const auto mean = [&](std::span<const int64_t> items) {
    double sum = 0;
    for (const int64_t i : items) sum += values[i];
    return sum / static_cast<double>(items.size());
  };
  return measure(std::ssize(values), mean, clusters);
}

Measured median_of(std::span<const double> values, Clusters clusters) {
  const auto median_over = [&](std::span<const int64_t> items) {
    std::vector<double> drawn;
    for (const int64_t i : items) drawn.push_back(values[i]);
    return median(std::move(drawn));
  };
  return measure(std::ssize(values), median_over, clusters);
}

Measured mean_difference(std::span<const double> left,
                         std::span<const double> right,
                         Clusters clusters) {
  return mean_of(differences(left, right), clusters);
}

std::optional<Measured> ratio_of_sums(std::span<const double> above,
                                      std::span<const double> below,
                                      Clusters clusters) {
  const auto ratio = [&](std::span<const int64_t> items) {
    return ratio_over(above, below, items);
  };
  if (!std::isfinite(ratio(all_of(std::ssize(below))))) return std::nullopt;
  return measure(std::ssize(below), ratio, clusters);
}

std::optional<Measured> gained_share(std::span<const double> from,
                                     std::span<const double> arm,
                                     std::span<const double> full,
                                     Clusters clusters) {
  return ratio_of_sums(differences(from, arm), differences(from, full), clusters);
}

}  // namespace precis
