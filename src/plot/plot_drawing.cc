// SPDX-License-Identifier: Apache-2.0
#include "plot/plot_drawing.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"
#include "plot/svg_text.h"

namespace precis {
namespace {

constexpr std::string_view kTextColour = "#333333", kMutedColour = "#666666";
constexpr std::string_view kFrameColour = "#888888", kGridColour = "#e6e6e6";
constexpr std::string_view kFaint = "0.35", kBandOpacity = "0.18";

bool is_drawable_number(double value) { return std::abs(value) < 1e300; }

// ` name="value"`. The value is escaped already, or needs no escape.
std::string attribute(std::string_view name, std::string_view value) {
  return std::string(" ").append(name).append("=\"").append(value).append("\"");
}

std::string attribute(std::string_view name, double value) {
  return attribute(name, svg_number(value));
}

std::string element(const std::string& name_and_attributes) {
  return "<" + name_and_attributes + "/>\n";
}

std::string text_at(
    double x, double y, double size, const std::string& text, const std::string& look) {
  return "<text" + attribute("x", x) + attribute("y", y) + attribute("font-size", size) + look +
         ">" + escape_xml(text) + "</text>\n";
}

std::string fill(std::string_view colour) { return attribute("fill", colour); }
std::string anchor(std::string_view where) { return attribute("text-anchor", where); }

std::string straight_line(double x1, double y1, double x2, double y2, const std::string& look) {
  return element("line" + attribute("x1", x1) + attribute("y1", y1) + attribute("x2", x2) +
                 attribute("y2", y2) + look);
}

double across(const PlotPanel& panel, double x) {
  return panel.left + panel.x.fraction(x) * (panel.right - panel.left);
}

double down(const PlotPanel& panel, double y) {
  return panel.bottom - panel.y.fraction(y) * (panel.bottom - panel.top);
}

std::string place(const PlotPanel& panel, double x, double y) {
  return svg_number(across(panel, x)) + "," + svg_number(down(panel, y));
}

// The longest stretches of points that all fulfil the condition.
std::vector<std::span<const PlotPoint>> stretches(const std::vector<PlotPoint>& points,
                                                  bool (*condition)(const PlotPoint&)) {
  std::vector<std::span<const PlotPoint>> found;
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if(begin, points.end(), condition);
    const auto end = std::find_if_not(begin, points.end(), condition);
    if (begin != end) found.emplace_back(begin, end);
    begin = end;
  }
  return found;
}

// Along the upper ends and back along the lower ones.
std::string band_corners(const PlotPanel& panel, std::span<const PlotPoint> points) {
  std::string corners;
  for (const PlotPoint& point : points) {
    corners += place(panel, point.x, point.interval->second) + " ";
  }
  for (size_t i = points.size(); i-- > 0;) {
    corners += place(panel, points[i].x, points[i].interval->first) + (i == 0 ? "" : " ");
  }
  return corners;
}

// For a band of a single point, which would have no width.
std::string bar_corners(const PlotPanel& panel, const PlotPoint& point) {
  const double x = across(panel, point.x);
  const std::string left = svg_number(x - 3), right = svg_number(x + 3);
  const std::string low = svg_number(down(panel, point.interval->first));
  const std::string high = svg_number(down(panel, point.interval->second));
  return concat(left, ",", high, " ", right, ",", high, " ", right, ",", low, " ", left, ",", low);
}

std::string stroke(const DrawnLine& line) {
  std::string look = attribute("stroke", line.colour) +
                     attribute("stroke-width", line.faint ? "1" : "2") +
                     attribute("stroke-linejoin", "round");
  if (line.faint) look += attribute("stroke-opacity", kFaint);
  return look + (line.dashes.empty() ? attribute("stroke-linecap", "round")
                                     : attribute("stroke-dasharray", line.dashes));
}

std::string dot(const DrawnLine& line, double x, double y) {
  return element("circle" + attribute("cx", x) + attribute("cy", y) +
                 attribute("r", line.faint ? 1.5 : 3.5) + fill(line.colour) +
                 (line.faint ? attribute("fill-opacity", kFaint)
                             : attribute("stroke", "#ffffff")));  // apart from what is beneath
}

std::string draw_x_ticks(const PlotPanel& panel) {
  std::string svg;
  for (const PlotTick& tick : panel.x.ticks) {
    const double x = across(panel, tick.value);
    svg += straight_line(x, panel.top, x, panel.bottom, attribute("stroke", kGridColour));
    svg +=
        text_at(x, panel.bottom + 18, kTickSize, tick.label, fill(kMutedColour) + anchor("middle"));
  }
  return svg;
}

std::string draw_y_ticks(const PlotPanel& panel) {
  std::string svg;
  for (const PlotTick& tick : panel.y.ticks) {
    const double y = down(panel, tick.value);
    svg += straight_line(panel.left, y, panel.right, y, attribute("stroke", kGridColour));
    svg +=
        text_at(panel.left - 8, y + 4, kTickSize, tick.label, fill(kMutedColour) + anchor("end"));
  }
  return svg;
}

std::string draw_x_label(const std::string& label, const PlotPanel& panel) {
  const double middle = (panel.left + panel.right) / 2;
  return text_at(middle,
                 panel.bottom + 40,
                 kLabelSize,
                 shorten_text(label, kLabelSize, panel.right - panel.left),
                 fill(kTextColour) + anchor("middle"));
}

std::string draw_y_label(const std::string& label, const PlotPanel& panel) {
  const double x = kPlotMargin + kLabelSize - 3, middle = (panel.top + panel.bottom) / 2;
  const std::string turn = "rotate(-90 " + svg_number(x) + " " + svg_number(middle) + ")";
  return text_at(x,
                 middle,
                 kLabelSize,
                 shorten_text(label, kLabelSize, panel.bottom - panel.top),
                 fill(kTextColour) + anchor("middle") + attribute("transform", turn));
}

}  // namespace

bool is_drawable(const PlotPoint& point) {
  return is_drawable_number(point.x) && is_drawable_number(point.y);
}

bool has_drawable_interval(const PlotPoint& point) {
  return is_drawable(point) && point.interval && is_drawable_number(point.interval->first) &&
         is_drawable_number(point.interval->second);
}

std::string svg_document(const std::string& title, const std::string& elements) {
  const std::string size = svg_number(kPlotWidth) + " " + svg_number(kPlotHeight);
  const std::string head = attribute("xmlns", "http://www.w3.org/2000/svg") +
                           attribute("viewBox", "0 0 " + size) + attribute("width", kPlotWidth) +
                           attribute("height", kPlotHeight) + attribute("role", "img") +
                           attribute("font-family", "Helvetica, Arial, sans-serif");
  const std::string background =
      element("rect" + attribute("width", kPlotWidth) + attribute("height", kPlotHeight) +
              attribute("rx", 6) + fill("#ffffff"));
  return "<svg" + head + ">\n<title>" + escape_xml(title) + "</title>\n" + background + elements +
         "</svg>\n";
}

std::string draw_title(const std::string& title, double baseline) {
  return text_at(kPlotMargin,
                 baseline,
                 kTitleSize,
                 shorten_text(title, kTitleSize, kPlotWidth - 2 * kPlotMargin),
                 fill(kTextColour) + attribute("font-weight", "600"));
}

std::string draw_axes(const LinePlot& labels, const PlotPanel& panel) {
  std::string svg = draw_x_ticks(panel) + draw_y_ticks(panel);
  const std::string look = attribute("stroke", kFrameColour);
  svg += straight_line(panel.left, panel.bottom, panel.right, panel.bottom, look);
  if (!labels.x_label.empty()) svg += draw_x_label(labels.x_label, panel);
  if (!labels.y_label.empty()) svg += draw_y_label(labels.y_label, panel);
  return svg;
}

std::string draw_bands(const DrawnLine& line, const PlotPanel& panel) {
  std::string svg;
  for (const auto points : stretches(line.points, has_drawable_interval)) {
    const std::string corners =
        points.size() == 1 ? bar_corners(panel, points[0]) : band_corners(panel, points);
    svg += element("polygon" + attribute("points", corners) + fill(line.colour) +
                   attribute("fill-opacity", kBandOpacity));
  }
  return svg;
}

std::string draw_line(const DrawnLine& line, const PlotPanel& panel) {
  std::string path, dots;
  for (const auto points : stretches(line.points, is_drawable)) {
    path += 'M';
    for (const PlotPoint& point : points) {
      path += (path.back() == 'M' ? "" : " ") + place(panel, point.x, point.y);
      if (!line.markers && points.size() > 1) continue;
      dots += dot(line, across(panel, point.x), down(panel, point.y));
    }
  }
  if (path.empty()) return "";
  return element("path" + attribute("d", path) + fill("none") + stroke(line)) + dots;
}

std::string draw_legend_entry(const DrawnLine& line, double left, double middle) {
  const double right = left + kSwatchWidth;
  std::string svg;
  if (std::any_of(line.points.begin(), line.points.end(), has_drawable_interval)) {
    svg += element("rect" + attribute("x", left) + attribute("y", middle - 6) +
                   attribute("width", kSwatchWidth) + attribute("height", 12) + fill(line.colour) +
                   attribute("fill-opacity", kBandOpacity));
  }
  svg += straight_line(left, middle, right, middle, stroke(line));
  if (line.markers) svg += dot(line, (left + right) / 2, middle);
  return svg + text_at(right + 6, middle + 4, kTickSize, line.name, fill(kTextColour));
}

std::string draw_no_data(const PlotPanel& panel) {
  return text_at((panel.left + panel.right) / 2,
                 (panel.top + panel.bottom) / 2,
                 kLabelSize,
                 "no data",
                 fill(kMutedColour) + anchor("middle"));
}

}  // namespace precis
