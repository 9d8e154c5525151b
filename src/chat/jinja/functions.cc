// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "chat/jinja/callables.h"
#include "chat/jinja/print.h"

// The functions that every template can call.
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

// As C's strftime in the "C" locale, in UTC, whatever the locale and the time zone of the program.
// The text that replaces a field has the origin of the field.
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

// The limit of Jinja's sandbox.
constexpr uint64_t kMaxRange = 100'000;

std::vector<Value> numbers(int64_t start, int64_t stop, int64_t step) {
  PRECIS_CHECK(step != 0, kInvalidArgument, "range: the step is zero");
  // As unsigned numbers, because any difference of two 64-bit integers fits.
  const auto from = static_cast<uint64_t>(step > 0 ? start : stop);
  const auto to = static_cast<uint64_t>(step > 0 ? stop : start);
  const bool is_empty = step > 0 ? start >= stop : start <= stop;
  const uint64_t by = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = is_empty ? 0 : (to - from - 1) / by + 1;
  PRECIS_CHECK(count <= kMaxRange, kInvalidArgument, "range: more than ", kMaxRange, " numbers");
  std::vector<Value> numbers;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i) numbers.emplace_back(start + i * step);
  return numbers;
}

Value range(Environment& environment, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  const int64_t first = bound.integer(0, 0);
  const int64_t step = bound.integer(2, 1);
  return make_sequence(
      environment.budget,
      SequenceKind::kRange,
      bound[1] ? numbers(first, bound.integer(1, 0), step) : numbers(0, first, step));
}

// `from` is a dict, or a sequence of pairs of key and value.
void add_entries(Budget& budget, const Value& from, Dict& dict) {
  require_defined(from);
  if (const auto* other = from.object<Dict>()) {
    for (const auto& [key, value] : other->entries()) dict.set(budget, key, value);
    return;
  }
  const SequencePtr sequence = iterate(budget, from);
  for (const Value& item : sequence->items) {
    const SequencePtr pair = open_sequence(budget, item);
    PRECIS_CHECK(pair->items.size() == 2, kInvalidArgument, "dict: pairs are expected");
    dict.set(budget, pair->items[0], pair->items[1]);
  }
}

Dict make_entries(Budget& budget, const Arguments& arguments) {
  PRECIS_CHECK(
      arguments.positional.size() <= 1, kInvalidArgument, "dict: at most one value is expected");
  Dict dict;
  if (!arguments.positional.empty()) add_entries(budget, arguments.positional[0], dict);
  for (const auto& [name, value] : arguments.named) dict.set(budget, name, value);
  return dict;
}

Value dict(Environment& environment, const Arguments& arguments) {
  return make_dict(environment.budget, make_entries(environment.budget, arguments));
}

Value make_namespace(Environment& environment, const Arguments& arguments) {
  environment.budget.touch(sizeof(Namespace));
  environment.namespaces.push_back(std::make_unique<Namespace>());
  Namespace* space = environment.namespaces.back().get();
  const Dict attributes = make_entries(environment.budget, arguments);
  for (const auto& [name, value] : attributes.entries()) {
    if (!name.is<Text>()) refuse_operand("namespace: a name", name);
    set_attribute(environment.budget, *space, *name.as<Text>(), value);
  }
  return space;
}

Value raise_exception(Environment& environment, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  constexpr size_t kMaxShown = 2000;
  const Text message = to_text(environment.budget, *bound[0]);
  fail(ErrorKind::kInvalidArgument, message.bytes().substr(0, message.byte_offset(kMaxShown)));
}

Value strftime_now(Environment& environment, const Arguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  return format_date(environment.budget, environment.now, bound.text(0));
}

constexpr Function kFunctions[] = {{"range", range},
                                   {"dict", dict},
                                   {"namespace", make_namespace},
                                   {"raise_exception", raise_exception},
                                   {"strftime_now", strftime_now}};

}  // namespace

void set_attribute(Budget& budget, Namespace& space, const Text& name, const Value& value) {
  PRECIS_CHECK(!name.bytes().starts_with('_'),
               kInvalidArgument,
               "namespace: the name '",
               shorten(name.bytes()),
               "' begins with an underscore");
  space.attributes.set(budget, name, value);
}

std::span<const Function> functions() { return kFunctions; }

const Function* find_function(std::string_view name) { return find_row(functions(), name); }

}  // namespace precis::jinja
