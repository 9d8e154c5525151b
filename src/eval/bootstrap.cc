// SPDX-License-Identifier: Apache-2.0
#include "eval/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "base/check.h"

namespace precis {
namespace {

constexpr int kNumSamples = 2000;

// Not std::uniform_int_distribution, whose results differ between standard libraries. The bias of
// the remainder is below num_items / 2^64.
void draw(std::mt19937_64& random, std::vector<int64_t>& drawn) {
  for (int64_t& item : drawn) item = static_cast<int64_t>(random() % drawn.size());
}

// REQUIRES: `sorted` is not empty.
double percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], place - std::floor(place));
}

}  // namespace

Interval bootstrap_interval(int64_t num_items,
                            const std::function<double(std::span<const int64_t> drawn)>& statistic,
                            uint64_t seed) {
  PRECIS_CHECK(num_items > 0, kInvalidArgument, "bootstrap: there are no items");
  std::mt19937_64 random(seed);
  std::vector<int64_t> drawn(static_cast<size_t>(num_items));
  std::vector<double> values;
  for (int sample = 0; sample < kNumSamples; ++sample) {
    draw(random, drawn);
    const double value = statistic(drawn);
    if (std::isfinite(value)) values.push_back(value);
  }
  PRECIS_CHECK(
      !values.empty(), kInvalidArgument, "bootstrap: the statistic is finite in no sample");
  std::ranges::sort(values);
  return {percentile(values, 0.025), percentile(values, 0.975)};
}

}  // namespace precis
