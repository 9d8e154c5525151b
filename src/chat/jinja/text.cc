// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

namespace precis::jinja {
namespace {

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

size_t count_characters(std::string_view bytes) {
  return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), starts_character));
}

constexpr size_t kPerAdd = 8;  // bytes that any call of add() is charged

}  // namespace

Text::Text(std::string bytes, int source) {
  if (bytes.empty()) return;
  const Run run{bytes.size(), source};
  *this = Text(std::move(bytes), {run}, false);
}

Text::Text(std::string bytes, std::vector<Run> runs, bool is_markup) {
  const size_t length = count_characters(bytes);
  content_ = std::make_shared<const Content>(
      Content{std::move(bytes), std::move(runs), length, is_markup});
}

const std::vector<Run>& Text::runs() const {
  static const std::vector<Run> none;
  return content_ ? content_->runs : none;
}

size_t Text::run_at(size_t byte) const {
  const auto after = std::upper_bound(
      runs().begin(), runs().end(), byte, [](size_t at, const Run& run) { return at < run.end; });
  return static_cast<size_t>(after - runs().begin());
}

size_t Text::byte_offset(size_t code_point) const {
  if (is_ascii()) return std::min(code_point, bytes().size());
  size_t at = 0;
  for (size_t seen = 0; at < bytes().size(); ++at) {
    if (starts_character(bytes()[at]) && seen++ == code_point) break;
  }
  return at;
}

size_t Text::code_point_at(size_t byte_offset) const {
  return is_ascii() ? byte_offset : count_characters(bytes().substr(0, byte_offset));
}

Text Text::with_markup(Budget& budget, bool is_markup) const {
  if (is_markup == this->is_markup()) return *this;
  budget.touch(bytes().size() + runs().size() * sizeof(Run));
  return Text(std::string(bytes()), runs(), is_markup);
}

void TextBuilder::add(std::string_view bytes, int source) {
  budget_->touch(kPerAdd + bytes.size());
  if (bytes.empty()) return;
  PRECIS_CHECK(bytes.size() <= Budget::kMaxText - bytes_.size(),
               kInvalidArgument,
               "a string of more than ",
               Budget::kMaxText,
               " bytes");
  bytes_.append(bytes);
  if (!runs_.empty() && runs_.back().source == source) {
    runs_.back().end = bytes_.size();
    return;
  }
  budget_->touch(sizeof(Run) + sizeof(MarkedText));  // rendering turns the run into a MarkedText
  runs_.push_back({bytes_.size(), source});
}

void TextBuilder::add(const Text& text, size_t begin, size_t end) {
  budget_->touch(kPerAdd);
  for (size_t run = text.run_at(begin); begin < end; ++run) {
    const size_t stop = std::min(end, text.runs()[run].end);
    add(text.bytes().substr(begin, stop - begin), text.runs()[run].source);
    begin = stop;
  }
}

Text TextBuilder::take(bool is_markup) {
  constexpr size_t kOverhead = 128;  // bytes: the shared block, its string and its runs
  budget_->touch(kOverhead);
  Text text = Text(std::exchange(bytes_, {}), std::exchange(runs_, {}), is_markup);
  return text;
}

CodePoint decode_at(std::string_view bytes, size_t offset) {
  const auto* start = reinterpret_cast<const utf8proc_uint8_t*>(bytes.data() + offset);
  utf8proc_int32_t value = -1;
  const auto size =
      utf8proc_iterate(start, static_cast<utf8proc_ssize_t>(bytes.size() - offset), &value);
  return size > 0 ? CodePoint{value, static_cast<size_t>(size)} : CodePoint{-1, 1};
}

CodePoint decode_before(std::string_view bytes, size_t offset) {
  constexpr size_t kLongest = 4;
  for (size_t size = 1; size <= std::min(kLongest, offset); ++size) {
    if (!starts_character(bytes[offset - size])) continue;
    const CodePoint point = decode_at(bytes.substr(0, offset), offset - size);
    return point.size == size ? point : CodePoint{-1, 1};
  }
  return {-1, 1};
}

void append_utf8(std::string& out, int32_t code_point) {
  utf8proc_uint8_t encoded[4];
  const auto size = utf8proc_encode_char(code_point, encoded);
  out.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(size));
}

bool is_space(int32_t code_point) {
  if (code_point < 0x80) {
    return code_point == ' ' || (code_point >= 0x09 && code_point <= 0x0D) ||
           (code_point >= 0x1C && code_point <= 0x1F);
  }
  if (code_point >= 0x2000 && code_point <= 0x200A) return true;
  constexpr int32_t kOthers[] = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  return std::find(std::begin(kOthers), std::end(kOthers), code_point) != std::end(kOthers);
}

bool is_printable(int32_t code_point) {
  if (code_point < 0x80) return code_point >= 0x20 && code_point < 0x7F;
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

}  // namespace precis::jinja
