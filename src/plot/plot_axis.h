// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace precis {

struct PlotTick {
  double value;
  std::string label;
};

// The range of an axis and its labelled ticks.
struct PlotAxis {
  bool log = false;
  double low = 0, high = 1;  // log2 of the values if log; low < high
  std::vector<PlotTick> ticks;

  // Position of a value: 0 at the low end, 1 at the high end.
  double fraction(double value) const;
};

enum class AxisEnds { kAtValues, kAtTicks };

// Ticks at multiples of 1, 2 or 5 x 10^k, about `num_ticks` of them. If all values are equal, the
// range is widened; without values it is 0 to 1. REQUIRES: |values| < 1e300.
PlotAxis linear_axis(const std::vector<double>& values, int num_ticks, AxisEnds ends);

// Ticks at the values if they are few and far apart, else at powers of two, or, if too few of these
// are in range, as on a linear axis. REQUIRES: values > 0.
PlotAxis log_axis(std::vector<double> values, int num_ticks);

}  // namespace precis
