// SPDX-License-Identifier: Apache-2.0
#include "plot/line_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <locale>
#include <regex>
#include <sstream>

#include "support/expect_error.h"

namespace precis {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return found;
}

void expect_entities(std::string text) {
  for (const char* entity : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
    for (size_t at = 0; (at = text.find(entity, at)) != std::string::npos;) text.erase(at, 5);
  }
  EXPECT_EQ(text.find_first_of("&<"), std::string::npos) << text;
}

// Expects tags and quotes to be closed in order, and texts to be escaped.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  size_t at = 0;
  for (size_t begin; (begin = svg.find('<', at)) != std::string::npos;) {
    if (at > 0 && begin > at) expect_entities(svg.substr(at, begin - at));
    const size_t end = svg.find('>', begin);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(begin + 1, end - begin - 1);
    expect_entities(tag);
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (tag.front() == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    at = end + 1;
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(svg.substr(at), "\n");
}

// The plot as SVG, which is expected to be well-formed and without invalid numbers.
std::string drawn(const LinePlot& plot) {
  const std::string svg = to_svg(plot);
  expect_well_formed(svg);
  EXPECT_THAT(svg, AllOf(HasSubstr("viewBox=\"0 0 720 420\""), Not(HasSubstr("nan"))));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  return svg;
}

// Value of the k-th attribute of this name.
std::string attribute(const std::string& svg, const std::string& name, size_t k = 0) {
  size_t at = 0;
  for (size_t i = 0; i <= k; ++i) {
    at = svg.find(" " + name + "=\"", at) + name.size() + 3;
    if (at < name.size() + 3) return "";
  }
  return svg.substr(at, svg.find('"', at) - at);
}

// Coordinates of the points of the first line.
std::vector<PlotPoint> places(const std::string& svg) {
  std::string path = attribute(svg, "d");
  std::replace_if(
      path.begin(), path.end(), [](char c) { return c == 'M' || c == ','; }, ' ');
  std::istringstream numbers(path);
  std::vector<PlotPoint> found;
  for (double x, y; numbers >> x >> y;) found.push_back({x, y});
  return found;
}

// Texts of the elements with this anchor: "middle" for ticks of x, "end" for ticks of y.
std::vector<std::string> ticks(const std::string& svg, const std::string& anchor) {
  const std::regex tick("<text[^>]*fill=\"#666666\" text-anchor=\"" + anchor + "\">([^<]*)<");
  std::vector<std::string> found;
  for (std::sregex_iterator match(svg.begin(), svg.end(), tick), end; match != end; ++match) {
    found.push_back((*match)[1]);
  }
  return found;
}

PlotLine line_of(std::vector<PlotPoint> points) { return {.name = "line", .points = points}; }

LinePlot plot_of(std::vector<PlotPoint> points, bool log_x = false) {
  return {.title = "", .x_label = "", .y_label = "", .lines = {line_of(points)}, .log_x = log_x};
}

TEST(LinePlotTest, EveryLineHasAPathAndALegendEntry) {
  LinePlot plot{.title = "Loss", .x_label = "step", .y_label = "nats", .lines = {}};
  for (const char* name : {"raw", "smoothed", "validation"}) {
    plot.lines.push_back({.name = name, .points = {{0, 3}, {10, 2}}});
  }
  const std::string svg = drawn(plot);
  EXPECT_EQ(count(svg, "<path"), 3u);
  EXPECT_EQ(count(svg, "<circle"), 0u);
  for (const char* text : {"Loss", "step", "nats", "raw", "smoothed", "validation"}) {
    EXPECT_THAT(svg, HasSubstr(">" + std::string(text) + "</text>"));
  }
}

TEST(LinePlotTest, PointsLieBetweenTheAxesAtTheirValues) {
  const auto at = places(drawn(plot_of({{0, 0}, {5, 1}, {10, 2}})));
  ASSERT_EQ(at.size(), 3u);
  EXPECT_NEAR(at[1].x - at[0].x, at[2].x - at[1].x, 0.11);
  EXPECT_NEAR(at[0].y - at[1].y, at[1].y - at[2].y, 0.11);
  EXPECT_GT(at[1].x - at[0].x, 200);
  EXPECT_GT(at[0].y - at[1].y, 100);  // upwards
  EXPECT_GT(at[0].x, 0);
  EXPECT_LT(at[2].x, 720);
}

TEST(LinePlotTest, TicksAreUnderAndBesideTheAxes) {
  const std::string svg = drawn(plot_of({{0, 0.03}, {20000, 0.97}}));
  EXPECT_THAT(ticks(svg, "middle"), ElementsAre("0", "5000", "10000", "15000", "20000"));
  EXPECT_THAT(ticks(svg, "end"), ElementsAre("0.0", "0.2", "0.4", "0.6", "0.8", "1.0"));
}

TEST(LinePlotTest, ALogarithmicAxisSpacesEqualRatiosEqually) {
  const std::string svg = drawn(plot_of({{2, 0}, {4, 1}, {8, 2}}, true));
  EXPECT_THAT(ticks(svg, "middle"), ElementsAre("2", "4", "8"));
  const auto at = places(svg);
  ASSERT_EQ(at.size(), 3u);
  EXPECT_NEAR(at[1].x - at[0].x, at[2].x - at[1].x, 0.11);
}

TEST(LinePlotTest, ALogarithmicAxisRefusesValuesThatAreNotPositive) {
  for (const double x : {0.0, -1.0, -kInfinity}) {
    expect_error(ErrorKind::kInvalidArgument, "logarithmic", [&] {
      to_svg(plot_of({{1, 1}, {x, 1}}, true));
    });
    drawn(plot_of({{1, 1}, {x, 1}}));
  }
}

TEST(LinePlotTest, IntervalsBecomeABand) {
  using Interval = std::pair<double, double>;
  const std::string svg = drawn(plot_of({{1, 0.5, Interval{0, 1}}, {2, 0.5, Interval{0, 1}}}));
  ASSERT_EQ(count(svg, "<polygon"), 1u);
  const std::string corners = attribute(svg, "points");
  EXPECT_EQ(count(corners, ","), 4u) << corners;
  EXPECT_THAT(ticks(svg, "end"), ElementsAre("0.0", "0.2", "0.4", "0.6", "0.8", "1.0"));
}

TEST(LinePlotTest, ABandEndsWhereThereIsNoInterval) {
  using Interval = std::pair<double, double>;
  const std::string svg = drawn(plot_of({{1, 1, Interval{0, 2}},
                                         {2, 1, Interval{0, 2}},
                                         {3, 1},
                                         {4, 1, Interval{0, kInfinity}},
                                         {5, 1, Interval{0, 2}}}));
  EXPECT_EQ(count(svg, "<polygon"), 2u);  // the second is a bar
  EXPECT_EQ(count(attribute(svg, "d"), "M"), 1u);
}

TEST(LinePlotTest, TextsAreEscaped) {
  LinePlot plot = plot_of({{0, 0}, {1, 1}});
  plot.title = "<b>\"R&D\"</b>";
  plot.x_label = "step\n'x'";
  plot.y_label = "\x01\xFFy\xEF\xBF\xBF";
  plot.lines[0].name = "a < b";
  const std::string svg = drawn(plot);
  EXPECT_THAT(svg, HasSubstr("<title>&lt;b&gt;&quot;R&amp;D&quot;&lt;/b&gt;</title>"));
  EXPECT_THAT(svg, HasSubstr(">step &#39;x&#39;</text>"));
  EXPECT_THAT(svg, HasSubstr("> \xEF\xBF\xBDy\xEF\xBF\xBD</text>"));
  EXPECT_THAT(svg, HasSubstr(">a &lt; b</text>"));
}

TEST(LinePlotTest, LongTextsAreShortenedBetweenCharacters) {
  LinePlot plot = plot_of({{0, 0}, {1, 1}});
  plot.lines[0].name = "";
  for (int i = 0; i < 300; ++i) plot.lines[0].name += "\xC3\xA9";
  const std::string svg = drawn(plot);
  EXPECT_THAT(svg, HasSubstr("\xC3\xA9...</text>"));
  EXPECT_EQ(count(svg, "\xEF\xBF\xBD"), 0u);
}

TEST(LinePlotTest, WithoutPointsThereAreAxesOnly) {
  EXPECT_THAT(drawn({}), HasSubstr("no data"));
  EXPECT_THAT(drawn(plot_of({}, true)), AllOf(HasSubstr("no data"), HasSubstr(">line</text>")));
  EXPECT_THAT(drawn(plot_of({{kNan, 1}, {1, kNan}, {kInfinity, 1}})), HasSubstr("no data"));
}

TEST(LinePlotTest, OnePointIsADot) {
  for (const bool log_x : {false, true}) {
    const std::string svg = drawn(plot_of({{3, 5}}, log_x));
    EXPECT_EQ(count(svg, "<circle"), 1u);
    EXPECT_EQ(count(svg, "no data"), 0u);
  }
}

TEST(LinePlotTest, AConstantLineIsDrawn) {
  const std::string svg = drawn(plot_of({{0, 0.5}, {1, 0.5}}));
  EXPECT_THAT(ticks(svg, "end"), AllOf(Contains("0.50"), SizeIs(testing::Gt(2))));
  const auto at = places(svg);
  ASSERT_EQ(at.size(), 2u);
  EXPECT_EQ(at[0].y, at[1].y);
  EXPECT_LT(at[0].x, at[1].x);
}

TEST(LinePlotTest, ValuesThatAreNotFiniteBreakTheLine) {
  const std::string svg =
      drawn(plot_of({{0, 1}, {1, 2}, {2, kNan}, {3, 1}, {4, 2}, {5, kInfinity}, {6, 1}}));
  EXPECT_EQ(count(attribute(svg, "d"), "M"), 3u);
  EXPECT_EQ(count(svg, "<circle"), 1u);  // for the last, which is alone
}

TEST(LinePlotTest, ExtremeValuesStillGiveAPlot) {
  const double least = std::numeric_limits<double>::denorm_min();
  drawn(plot_of({{-9e299, -9e299}, {9e299, 9e299}}));
  drawn(plot_of({{1e16, 1e16}, {1e16 + 2, 1e16 + 2}}));
  drawn(plot_of({{least, least}, {2 * least, 0}}));
  drawn(plot_of({{least, 1}}, true));
  drawn(plot_of({{least, 1}, {9e299, 2}}, true));
}

TEST(LinePlotTest, LongLinesAreThinnedEvenlyFromEndToEnd) {
  LinePlot plot = plot_of({});
  for (int i = 0; i < 50000; ++i) plot.lines[0].points.push_back({double(i), double(i)});
  const auto thinned = places(drawn(plot));
  ASSERT_EQ(thinned.size(), 2000u);
  const auto ends = places(drawn(plot_of({{0, 0}, {49999, 49999}})));
  EXPECT_EQ(thinned.front().x, ends.front().x);
  EXPECT_EQ(thinned.back().y, ends.back().y);
  EXPECT_NEAR(thinned[1000].x, (ends[0].x + ends[1].x) / 2, 0.5);
  plot.lines[0].points.resize(2000);
  EXPECT_EQ(places(drawn(plot)).size(), 2000u);
}

TEST(LinePlotTest, FaintLinesHaveTheColourOfTheLineTheyBelongTo) {
  LinePlot plot;
  for (const bool faint : {true, false, true, false}) {
    plot.lines.push_back({.name = "", .points = {{0, 1}, {1, 2}}, .faint = faint});
  }
  const std::string svg = drawn(plot);
  const std::string paths = svg.substr(svg.find("<path"));
  EXPECT_EQ(attribute(paths, "stroke", 0), attribute(paths, "stroke", 1));
  EXPECT_EQ(attribute(paths, "stroke", 2), attribute(paths, "stroke", 3));
  EXPECT_NE(attribute(paths, "stroke", 0), attribute(paths, "stroke", 2));
  EXPECT_EQ(count(paths, "stroke-opacity"), 2u);
}

TEST(LinePlotTest, MarkersAreDotsAtEveryPointAndInTheLegend) {
  LinePlot plot = plot_of({{0, 1}, {1, 2}, {2, 3}});
  plot.lines[0].markers = true;
  EXPECT_EQ(count(drawn(plot), "<circle"), 4u);
}

TEST(LinePlotTest, ManyLinesLeaveRoomForThePlot) {
  LinePlot plot;
  for (int i = 0; i < 100; ++i) {
    plot.lines.push_back({.name = "a line with a long name", .points = {{0, 0}, {1, 1}}});
  }
  const std::string svg = drawn(plot);
  EXPECT_EQ(count(svg, ">a line with a long name</text>"), 100u);
  EXPECT_GT(places(svg)[0].y - places(svg)[1].y, 100);
}

TEST(LinePlotTest, TheGlobalLocaleChangesNothing) {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const LinePlot plot = plot_of({{0, 0.123}, {12345, 0.877}});
  const std::string before = to_svg(plot);
  const std::locale old = std::locale::global(std::locale(std::locale(), new Comma));
  const std::string after = to_svg(plot);
  std::locale::global(old);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace precis
