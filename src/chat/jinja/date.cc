// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/date.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace precis::jinja {
namespace {

constexpr std::string_view kMonths[] = {"January",
                                        "February",
                                        "March",
                                        "April",
                                        "May",
                                        "June",
                                        "July",
                                        "August",
                                        "September",
                                        "October",
                                        "November",
                                        "December"};
constexpr std::string_view kWeekdays[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

std::string padded(int64_t number, size_t width, char filler = '0') {
  const std::string digits = std::to_string(number);
  return std::string(width - std::min(width, digits.size()), filler) + digits;
}

struct Moment {
  explicit Moment(std::chrono::sys_seconds time)
      : day(std::chrono::floor<std::chrono::days>(time)),
        date(day),
        clock(time - day),
        weekday(std::chrono::weekday(day).c_encoding()) {}

  int64_t year() const { return int{date.year()}; }
  int64_t month() const { return unsigned{date.month()}; }
  int64_t month_day() const { return unsigned{date.day()}; }
  int64_t year_day() const {
    return (day - std::chrono::sys_days(date.year() / std::chrono::January / 1)).count() + 1;
  }
  int64_t hour_of_12() const {
    return clock.hours().count() % 12 ? clock.hours().count() % 12 : 12;
  }

  std::chrono::sys_days day;
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::seconds> clock;
  unsigned weekday;
};

std::string format_field(const Moment& moment, char field, bool pads) {
  const size_t two = pads ? 2 : 1;
  const auto joined = [&moment](std::string_view fields, char between) {
    std::string text;
    for (const char part : fields) text += format_field(moment, part, true) + between;
    text.pop_back();
    return text;
  };
  if (pads && field == 'F') return joined("Ymd", '-');
  if (pads && field == 'T') return joined("HMS", ':');
  switch (field) {
    case 'Y':
      return std::to_string(moment.year());
    case 'y':
      return padded(moment.year() % 100, two);
    case 'm':
      return padded(moment.month(), two);
    case 'd':
      return padded(moment.month_day(), two);
    case 'e':
      return padded(moment.month_day(), two, ' ');
    case 'j':
      return padded(moment.year_day(), pads ? 3 : 1);
    case 'H':
      return padded(moment.clock.hours().count(), two);
    case 'I':
      return padded(moment.hour_of_12(), two);
    case 'M':
      return padded(moment.clock.minutes().count(), two);
    case 'S':
      return padded(moment.clock.seconds().count(), two);
    case 'p':
      return moment.clock.hours().count() < 12 ? "AM" : "PM";
    case 'B':
      return std::string(kMonths[moment.month() - 1]);
    case 'b':
      return std::string(kMonths[moment.month() - 1].substr(0, 3));
    case 'A':
      return std::string(kWeekdays[moment.weekday]);
    case 'a':
      return std::string(kWeekdays[moment.weekday].substr(0, 3));
    case '%':
      return "%";
    default:
      fail(ErrorKind::kUnsupported, "strftime_now: '%", field, "' is not supported");
  }
}

}  // namespace

Text format_date(Budget& budget, std::chrono::sys_seconds time, const Text& format) {
  const Moment moment(time);
  const std::string_view bytes = format.bytes();
  budget.scan(bytes.size());
  TextBuilder out(budget);
  for (size_t i = 0; i < bytes.size();) {
    const size_t mark = std::min(bytes.find('%', i), bytes.size() - 1);
    const bool is_field = bytes[mark] == '%' && mark + 1 < bytes.size();
    out.add(format, i, is_field ? mark : mark + 1);
    i = mark + 1;
    if (!is_field) continue;
    const bool pads = bytes[i] != '-';
    if (!pads && i + 1 < bytes.size()) ++i;
    out.add(format_field(moment, bytes[i], pads), format.source_at(i));
    ++i;
  }
  return out.take();
}

}  // namespace precis::jinja
