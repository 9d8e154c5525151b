// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace precis {

struct PlotPoint {
  double x = 0, y = 0;
  std::optional<std::pair<double, double>> interval = {};  // of y: low and high
};

// Points joined in the order given; one that is not finite breaks the line. Neighbours that both
// have a finite interval are joined by a shaded band; a lone interval is drawn as a bar.
struct PlotLine {
  std::string name;  // in the legend; empty: no entry
  std::vector<PlotPoint> points;
  // Thin and pale, in the colour of the next line that is not faint: raw values of a smoothed line.
  bool faint = false;
  bool markers = false;
};

struct LinePlot {
  std::string title, x_label, y_label;  // may be empty
  std::vector<PlotLine> lines;
  bool log_x = false;  // log2
};

// The plot as an SVG document of 720 x 420 units on a white panel, the same bytes for the same
// plot. A line of more than 2,000 points is thinned evenly; values of 1e300 and more count as
// infinite. Texts are escaped, and shortened if they are estimated not to fit.
// Throws kInvalidArgument if log_x is set and an x is not above zero.
std::string to_svg(const LinePlot& plot);

}  // namespace precis
