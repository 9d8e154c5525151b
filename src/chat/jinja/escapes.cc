// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "chat/jinja/lexer.h"
#include "chat/jinja/text.h"

namespace precis::jinja {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

class Unescaper {
 public:
  Unescaper(std::string_view literal, int line) : literal_(literal), line_(line) {}

  std::string run() {
    while (at_ < literal_.size()) {
      const char c = literal_[at_++];
      if (c == '\\' && at_ < literal_.size()) {
        add_escape(literal_[at_++]);
      } else {
        text_ += c;
      }
    }
    return std::move(text_);
  }

 private:
  void add_escape(char kind) {
    constexpr std::string_view kKinds = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const size_t simple = kKinds.find(kind);
    if (simple != std::string_view::npos) {
      text_ += kMeanings[simple];
    } else if (kind == 'x' || kind == 'u' || kind == 'U') {
      add_code_point(read_hex(kind == 'x' ? 2 : kind == 'u' ? 4 : 8));
    } else if (is_octal(kind)) {
      add_octal();
    } else if (kind == 'N') {
      fail_unsupported(line_, "a character by its name (\\N)");
    } else if (kind != '\n') {  // an escaped newline vanishes; an unknown escape stays as it is
      text_ += '\\';
      text_ += kind;
    }
  }

  void add_octal() {
    size_t end = at_;
    while (end < literal_.size() && end < at_ + 2 && is_octal(literal_[end])) ++end;
    int32_t value = 0;
    std::from_chars(literal_.data() + at_ - 1, literal_.data() + end, value, 8);
    at_ = end;
    append_utf8(text_, value);
  }

  int32_t read_hex(size_t num_digits) {
    const std::string_view digits = literal_.substr(at_, num_digits);
    uint32_t value = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() < num_digits || parsed.ptr != digits.data() + digits.size() ||
        value > 0x10FFFF) {
      fail_at(line_, "an escape in a string is no character");
    }
    at_ += num_digits;
    return static_cast<int32_t>(value);
  }

  // Two surrogates, as JSON writes a character beyond 16 bits, become that one character.
  void add_code_point(int32_t value) {
    if (value >= 0xD800 && value < 0xDC00 && literal_.substr(at_).starts_with("\\u")) {
      at_ += 2;
      const int32_t low = read_hex(4);
      const bool is_pair = low >= 0xDC00 && low < 0xE000;
      if (is_pair) value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    if (value >= 0xD800 && value < 0xE000) {
      fail_at(line_, "an escape in a string is half a character");
    }
    append_utf8(text_, value);
  }

  std::string_view literal_;
  int line_;
  size_t at_ = 0;
  std::string text_;
};

}  // namespace

std::string unescape(std::string_view literal, int line) { return Unescaper(literal, line).run(); }

}  // namespace precis::jinja
