// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plot/line_plot.h"
#include "plot/plot_axis.h"

namespace precis {

// SVG elements of a line plot, one per line of text; lengths are in units of the document.

constexpr double kPlotWidth = 720, kPlotHeight = 420, kPlotMargin = 20;
constexpr double kTitleSize = 16, kLabelSize = 13, kTickSize = 12;
constexpr double kSwatchWidth = 24;  // of a line in the legend

struct DrawnLine {
  std::string name;
  std::vector<PlotPoint> points;
  bool faint, markers;
  std::string_view colour, dashes;  // no dashes: a solid line
};

// The rectangle between the axes.
struct PlotPanel {
  double left, top, right, bottom;
  PlotAxis x, y;
};

// Whether the numbers are finite and small enough that differences are finite.
bool is_drawable(const PlotPoint& point);
bool has_drawable_interval(const PlotPoint& point);

std::string draw_title(const std::string& title, double baseline);
std::string draw_axes(const LinePlot& labels, const PlotPanel& panel);
std::string draw_bands(const DrawnLine& line, const PlotPanel& panel);
std::string draw_line(const DrawnLine& line, const PlotPanel& panel);
std::string draw_legend_entry(const DrawnLine& line, double left, double middle);
std::string draw_no_data(const PlotPanel& panel);

// The document around the elements, on a white background. The title is for screen readers.
std::string svg_document(const std::string& title, const std::string& elements);

}  // namespace precis
