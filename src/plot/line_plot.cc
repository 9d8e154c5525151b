// SPDX-License-Identifier: Apache-2.0
#include "plot/line_plot.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "base/check.h"
#include "io/in_quotes.h"
#include "plot/plot_axis.h"
#include "plot/plot_drawing.h"
#include "plot/svg_text.h"

namespace precis {
namespace {

constexpr size_t kMaxPoints = 2000;

// Colours for any colour vision: Okabe and Ito, "Color Universal Design" (2008), without yellow,
// which is hard to see on white.
constexpr std::array<std::string_view, 7> kPalette = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};
constexpr std::array<std::string_view, 3> kDashes = {"", "8 4", "2 4"};  // beyond the palette

void check_log_x(const LinePlot& plot) {
  for (const PlotLine& line : plot.lines) {
    for (const PlotPoint& point : line.points) {
      PRECIS_CHECK(!(point.x <= 0),  // NaN is let through, to break the line
                   kInvalidArgument,
                   "line plot: x is ",
                   point.x,
                   " in the line ",
                   in_quotes(line.name),
                   ", expected more than 0 for a logarithmic axis");
    }
  }
}

std::vector<PlotPoint> thinned(const std::vector<PlotPoint>& points) {
  if (points.size() <= kMaxPoints) return points;
  std::vector<PlotPoint> kept;
  for (size_t i = 0; i < kMaxPoints; ++i) {
    kept.push_back(points[i * (points.size() - 1) / (kMaxPoints - 1)]);
  }
  return kept;
}

std::vector<DrawnLine> drawn_lines(const std::vector<PlotLine>& lines) {
  std::vector<DrawnLine> drawn;
  size_t colour = 0;
  for (const PlotLine& line : lines) {
    drawn.push_back({.name = shorten_text(line.name, kTickSize, kPlotWidth / 2),
                     .points = thinned(line.points),
                     .faint = line.faint,
                     .markers = line.markers,
                     .colour = kPalette[colour % kPalette.size()],
                     .dashes = kDashes[colour / kPalette.size() % kDashes.size()]});
    if (!line.faint) ++colour;
  }
  return drawn;
}

PlotAxis x_axis(const std::vector<DrawnLine>& lines, bool log) {
  constexpr int kNumTicks = 8;
  std::vector<double> values;
  for (const DrawnLine& line : lines) {
    for (const PlotPoint& point : line.points) {
      if (is_drawable(point)) values.push_back(point.x);
    }
  }
  return log ? log_axis(values, kNumTicks) : linear_axis(values, kNumTicks, AxisEnds::kAtValues);
}

PlotAxis y_axis(const std::vector<DrawnLine>& lines) {
  constexpr int kNumTicks = 6;
  std::vector<double> values;
  for (const DrawnLine& line : lines) {
    for (const PlotPoint& point : line.points) {
      if (is_drawable(point)) values.push_back(point.y);
      if (!has_drawable_interval(point)) continue;
      values.push_back(point.interval->first);
      values.push_back(point.interval->second);
    }
  }
  return linear_axis(values, kNumTicks, AxisEnds::kAtTicks);
}

struct LegendEntry {
  const DrawnLine* line;
  double left;
  size_t row;
};

// Places entries from left to right, in as many rows as needed.
std::vector<LegendEntry> place_legend(const std::vector<DrawnLine>& lines) {
  std::vector<LegendEntry> entries;
  double left = kPlotMargin;
  size_t row = 0;
  for (const DrawnLine& line : lines) {
    if (line.name.empty()) continue;
    const double width = kSwatchWidth + 6 + text_width(line.name, kTickSize);
    if (left > kPlotMargin && left + width > kPlotWidth - kPlotMargin) {
      left = kPlotMargin;
      ++row;
    }
    entries.push_back({&line, left, row});
    left += width + 18;
  }
  return entries;
}

std::string draw_legend(const std::vector<LegendEntry>& entries, double top, double row_height) {
  std::string svg;
  for (const LegendEntry& entry : entries) {
    const double middle = top + (static_cast<double>(entry.row) + 0.5) * row_height;
    svg += draw_legend_entry(*entry.line, entry.left, middle);
  }
  return svg;
}

// The panel in the space that title, legend, labels and ticks leave.
PlotPanel panel_below(double top, const LinePlot& plot, const std::vector<DrawnLine>& lines) {
  PlotPanel panel{.left = kPlotMargin + (plot.y_label.empty() ? 0 : kLabelSize + 10),
                  .top = top,
                  .right = kPlotWidth - kPlotMargin - 8,
                  .bottom = kPlotHeight - (plot.x_label.empty() ? 36 : 58),
                  .x = x_axis(lines, plot.log_x),
                  .y = y_axis(lines)};
  double labels = 0;
  for (const PlotTick& tick : panel.y.ticks) {
    labels = std::max(labels, text_width(tick.label, kTickSize));
  }
  panel.left += labels + 8;
  return panel;
}

std::string draw_lines(const std::vector<DrawnLine>& lines, const PlotPanel& panel) {
  std::string svg;
  for (const DrawnLine& line : lines) svg += draw_bands(line, panel);
  for (const DrawnLine& line : lines) svg += draw_line(line, panel);
  return svg.empty() ? draw_no_data(panel) : svg;
}

}  // namespace

std::string to_svg(const LinePlot& plot) {
  if (plot.log_x) check_log_x(plot);
  const std::vector<DrawnLine> lines = drawn_lines(plot.lines);
  const std::vector<LegendEntry> legend = place_legend(lines);
  const double num_rows = legend.empty() ? 0 : static_cast<double>(legend.back().row + 1);
  const double row_height = std::min(20.0, 160 / std::max(num_rows, 1.0));  // leaves some plot
  const double legend_top = plot.title.empty() ? 14 : 48;
  const PlotPanel panel = panel_below(legend_top + num_rows * row_height + 12, plot, lines);
  return svg_document(plot.title,
                      (plot.title.empty() ? "" : draw_title(plot.title, 34)) +
                          draw_legend(legend, legend_top, row_height) + draw_axes(plot, panel) +
                          draw_lines(lines, panel));
}

}  // namespace precis
