// SPDX-License-Identifier: Apache-2.0
#include "plot/plot_axis.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <iterator>

namespace precis {
namespace {

constexpr double kRounding = 1e-9;  // of a step: what counts as on a tick

std::string print(double value, std::chars_format format, int decimals) {
  char digits[64];
  const auto result = std::to_chars(std::begin(digits), std::end(digits), value, format, decimals);
  return {digits, result.ptr};
}

// 1.50e+09 as 1.5e9.
std::string scientific(double value, int decimals) {
  const std::string text = print(value, std::chars_format::scientific, decimals);
  const size_t e = text.find('e');
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  const std::string sign = text[e + 1] == '-' ? "-" : "";
  return mantissa + "e" + sign + text.substr(text.find_first_not_of('0', e + 2));
}

int exponent10(double value) { return static_cast<int>(std::floor(std::log10(value) + kRounding)); }

// Ticks of one axis share their number of decimals, so that they line up.
std::string tick_label(double value, double step, double largest) {
  const int decimals = -exponent10(step);
  if (largest < 1e7 && decimals <= 4) {
    return print(value, std::chars_format::fixed, std::max(decimals, 0));
  }
  if (value == 0) return "0";
  return scientific(value, std::max(exponent10(std::abs(value)) - exponent10(step), 0));
}

// Four digits, which is enough to recognise a value.
std::string value_label(double value) {
  if (value >= 1e7 || value < 1e-4) return scientific(value, 3);
  std::string text = print(value, std::chars_format::fixed, std::max(3 - exponent10(value), 0));
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

double nice_step(double span, int num_ticks) {
  const double least = std::max(span / num_ticks, 1e-300);  // a power of ten is above zero
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - kRounding)) return factor * power;
  }
  return 10 * power;
}

std::vector<PlotTick> linear_ticks(double low, double high, double step) {
  const auto first = static_cast<int64_t>(std::ceil(low / step - kRounding));
  const auto last = static_cast<int64_t>(std::floor(high / step + kRounding));
  const double largest = std::max(std::abs(low), std::abs(high));
  std::vector<PlotTick> ticks;
  for (int64_t i = first; i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    ticks.push_back({value, tick_label(value, step, largest)});
  }
  return ticks;
}

std::vector<PlotTick> power_of_two_ticks(double low, double high, int num_ticks) {
  const int first = static_cast<int>(std::ceil(low));
  const int last = static_cast<int>(std::floor(high));
  const int stride = (last - first) / num_ticks + 1;
  std::vector<PlotTick> ticks;
  for (int exponent = first; exponent <= last; exponent += stride) {
    const double value = std::ldexp(1.0, exponent);
    ticks.push_back({value, value_label(value)});
  }
  return ticks;
}

// Far enough apart for labels that differ and do not touch. REQUIRES: sorted.
bool can_be_ticks(const std::vector<double>& values, const PlotAxis& axis, int num_ticks) {
  constexpr double kMinGap = 0.07;
  if (values.size() > static_cast<size_t>(num_ticks)) return false;
  const auto touch = [&axis](double a, double b) {
    return axis.fraction(b) - axis.fraction(a) < kMinGap || value_label(a) == value_label(b);
  };
  return std::adjacent_find(values.begin(), values.end(), touch) == values.end();
}

}  // namespace

double PlotAxis::fraction(double value) const {
  return ((log ? std::log2(value) : value) - low) / (high - low);
}

PlotAxis linear_axis(const std::vector<double>& values, int num_ticks, AxisEnds ends) {
  PlotAxis axis;
  if (!values.empty()) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    axis.low = *least;
    axis.high = *most;
    // Steps have to stay well above the rounding of the values.
    const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
    if (axis.high - axis.low <= std::max(1e-9 * largest, 1e-290)) {
      const double room = largest < 1e-290 ? 1 : 0.1 * largest;
      axis.low -= room;
      axis.high += room;
    }
  }
  const double step = nice_step(axis.high - axis.low, num_ticks);
  if (ends == AxisEnds::kAtTicks) {
    axis.low = std::floor(axis.low / step + kRounding) * step;
    axis.high = std::ceil(axis.high / step - kRounding) * step;
  }
  axis.ticks = linear_ticks(axis.low, axis.high, step);
  return axis;
}

PlotAxis log_axis(std::vector<double> values, int num_ticks) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  PlotAxis axis{.log = true, .low = 0, .high = 4, .ticks = {}};
  if (!values.empty()) {
    axis.low = std::log2(values.front());
    axis.high = std::log2(values.back());
  }
  const double span = axis.high - axis.low;
  const double room = span < 1e-6 ? 1 : 0.04 * span;  // points stand clear of the frame
  axis.low -= room;
  axis.high += room;
  if (!values.empty() && can_be_ticks(values, axis, num_ticks)) {
    for (const double value : values) axis.ticks.push_back({value, value_label(value)});
    return axis;
  }
  axis.ticks = power_of_two_ticks(axis.low, axis.high, num_ticks);
  if (axis.ticks.size() < 3) {
    const double low = std::exp2(axis.low), high = std::exp2(axis.high);
    axis.ticks = linear_ticks(low, high, nice_step(high - low, num_ticks));
  }
  return axis;
}

}  // namespace precis
