// SPDX-License-Identifier: Apache-2.0
#include "chat/jinja/lexer.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/check.h"
#include "chat/jinja/text.h"

namespace precis::jinja {
namespace {

// White space control in a tag: '-' strips, '+' keeps; without a sign lstrip_blocks and trim_blocks
// apply.
bool is_sign(char c) { return c == '-' || c == '+'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80);
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

std::string normalize_newlines(std::string_view source) {
  std::string normalized;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    normalized += source[i] == '\r' ? '\n' : source[i];
  }
  if (!normalized.empty() && normalized.back() == '\n') normalized.pop_back();
  return normalized;
}

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

  // A pair of surrogates, as JSON writes characters beyond 16 bits, becomes one character.
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

// Resolves Python's escapes in a string literal; `literal` has no quotes.
std::string unescape(std::string_view literal, int line) { return Unescaper(literal, line).run(); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) lex_data();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void lex_data();
  bool lex_raw();
  void lex_comment();
  void lex_tag(TokenKind end, std::string_view closing);
  bool lex_tag_end(TokenKind end, std::string_view closing);
  void lex_expression_token();
  void lex_number();
  size_t float_size() const;
  size_t integer_size() const;
  size_t skip_digits(size_t at) const;
  void lex_string();
  void lex_operator();

  void add_data(std::string_view text, char sign, bool strips_line_start);
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  bool starts_with_at(std::string_view text, size_t at) const {
    return std::string_view(source_).substr(std::min(at, source_.size())).starts_with(text);
  }
  char peek(size_t at) const { return at < source_.size() ? source_[at] : '\0'; }
  size_t skip_space(size_t at) const;
  // The end of a closing tag such as "-%}" at `at`, after white space control; npos if there is
  // none.
  size_t after_closing(size_t at, std::string_view closing, bool trims_newline) const;
  void advance_to(size_t end);

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool at_line_start_ = true;
  std::string open_brackets_;
  std::vector<Token> tokens_;
};

size_t Lexer::skip_space(size_t at) const {
  while (at < source_.size()) {
    const CodePoint point = decode_at(source_, at);
    if (!is_space(point.value)) break;
    at += point.size;
  }
  return at;
}

size_t Lexer::after_closing(size_t at, std::string_view closing, bool trims_newline) const {
  const char sign = peek(at);
  if (sign == '-' && starts_with_at(closing, at + 1)) return skip_space(at + 1 + closing.size());
  if (sign == '+' && trims_newline && starts_with_at(closing, at + 1))
    return at + 1 + closing.size();
  if (!starts_with_at(closing, at)) return std::string::npos;
  const size_t end = at + closing.size();
  return trims_newline && peek(end) == '\n' ? end + 1 : end;
}

void Lexer::advance_to(size_t end) {
  line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                       source_.begin() + static_cast<std::ptrdiff_t>(end),
                                       '\n'));
  if (end > at_) at_line_start_ = source_[end - 1] == '\n';
  at_ = end;
}

void Lexer::add_data(std::string_view text, char sign, bool strips_line_start) {
  size_t end = text.size();
  while (end > 0) {
    const CodePoint point = decode_before(text, end);
    const bool stops_at_line = sign != '-' && point.value == '\n';
    if (!is_space(point.value) || stops_at_line) break;
    end -= point.size;
  }
  const bool reaches_line_start = end > 0 ? text[end - 1] == '\n' : at_line_start_;
  const bool strips = sign == '-' || (sign != '+' && strips_line_start && reaches_line_start);
  const std::string_view kept = strips ? text.substr(0, end) : text;
  if (!kept.empty()) add(TokenKind::kData, std::string(kept));
}

void Lexer::lex_data() {
  size_t tag = at_;
  do {
    tag = source_.find('{', tag);
    if (tag == std::string::npos) break;
    const char next = peek(tag + 1);
    if (next == '%' || next == '{' || next == '#') break;
  } while (++tag);
  const size_t end = std::min(tag, source_.size());
  const std::string_view text = std::string_view(source_).substr(at_, end - at_);
  if (end == source_.size()) {
    add_data(text, '+', false);
    return advance_to(end);
  }
  const char kind = source_[tag + 1];
  const char sign = is_sign(peek(tag + 2)) ? source_[tag + 2] : '\0';
  add_data(text, sign, kind != '{');
  advance_to(tag);
  if (kind == '%' && lex_raw()) return;
  advance_to(tag + (sign ? 3 : 2));
  if (kind == '#') return lex_comment();
  add(kind == '%' ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, "");
  if (kind == '%') return lex_tag(TokenKind::kBlockEnd, "%}");
  lex_tag(TokenKind::kOutputEnd, "}}");
}

// Reads {% raw %} ... {% endraw %}; returns false for any other tag.
bool Lexer::lex_raw() {
  const size_t name = skip_space(at_ + (is_sign(peek(at_ + 2)) ? 3 : 2));
  if (!starts_with_at("raw", name)) return false;
  const size_t begin = after_closing(skip_space(name + 3), "%}", false);
  if (begin == std::string::npos) return false;
  const int line = line_;
  advance_to(begin);
  for (size_t tag = source_.find("{%", at_); tag != std::string::npos;
       tag = source_.find("{%", tag + 1)) {
    const char sign = is_sign(peek(tag + 2)) ? source_[tag + 2] : '\0';
    const size_t keyword = skip_space(tag + (sign ? 3 : 2));
    if (!starts_with_at("endraw", keyword)) continue;
    const size_t end = after_closing(skip_space(keyword + 6), "%}", true);
    if (end == std::string::npos) continue;
    add_data(std::string_view(source_).substr(at_, tag - at_), sign, true);
    advance_to(end);
    return true;
  }
  fail_at(line, "the raw block is never closed");
}

void Lexer::lex_comment() {
  for (size_t at = at_; at < source_.size(); ++at) {
    const size_t end = after_closing(at, "#}", true);
    if (end != std::string::npos) return advance_to(end);
  }
  fail_at(line_, "the comment is never closed");
}

bool Lexer::lex_tag_end(TokenKind end, std::string_view closing) {
  if (!open_brackets_.empty()) return false;
  const size_t after = after_closing(at_, closing, end == TokenKind::kBlockEnd);
  if (after == std::string::npos) return false;
  add(end, "");
  advance_to(after);
  return true;
}

void Lexer::lex_tag(TokenKind end, std::string_view closing) {
  const int line = line_;
  while (at_ < source_.size()) {
    if (lex_tag_end(end, closing)) return;
    const size_t after_space = skip_space(at_);
    if (after_space > at_) {
      advance_to(after_space);
    } else {
      lex_expression_token();
    }
  }
  fail_at(line, concat("the tag is never closed by ", closing));
}

void Lexer::lex_expression_token() {
  const char c = source_[at_];
  if (is_digit(c)) return lex_number();
  if (c == '"' || c == '\'') return lex_string();
  if (!is_name_start(c)) return lex_operator();
  size_t end = at_;
  while (end < source_.size() && is_name_part(source_[end])) ++end;
  add(TokenKind::kName, source_.substr(at_, end - at_));
  advance_to(end);
}

// Digits may be grouped by single underscores.
size_t Lexer::skip_digits(size_t at) const {
  while (is_digit(peek(at)) || (peek(at) == '_' && is_digit(peek(at + 1)))) ++at;
  return at;
}

// The size of a float, which has a fraction or an exponent; 0 if there is none. After a dot
// ("list.0.5") numbers are integers.
size_t Lexer::float_size() const {
  if (at_ > 0 && source_[at_ - 1] == '.') return 0;
  const size_t whole_end = skip_digits(at_);
  size_t end = whole_end;
  if (peek(end) == '.' && is_digit(peek(end + 1))) end = skip_digits(end + 1);
  if (peek(end) == 'e' || peek(end) == 'E') {
    const size_t digits = is_sign(peek(end + 1)) ? end + 2 : end + 1;
    if (is_digit(peek(digits))) end = skip_digits(digits);
  }
  return end > whole_end ? end - at_ : 0;
}

size_t Lexer::integer_size() const {
  const char prefix = static_cast<char>(std::tolower(static_cast<unsigned char>(peek(at_ + 1))));
  if (peek(at_) == '0' && (prefix == 'x' || prefix == 'o' || prefix == 'b')) {
    fail_unsupported(line_, "an integer that is not decimal");
  }
  if (peek(at_) != '0') return skip_digits(at_) - at_;
  size_t end = at_ + 1;  // only zeros may follow a zero
  while (peek(end) == '0') ++end;
  return end - at_;
}

void Lexer::lex_number() {
  const size_t float_size = this->float_size();
  const size_t size = float_size ? float_size : integer_size();
  std::string digits = source_.substr(at_, size);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  add(float_size ? TokenKind::kFloat : TokenKind::kInteger, std::move(digits));
  advance_to(at_ + size);
}

void Lexer::lex_string() {
  const char quote = source_[at_];
  size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2u : 1u;
  if (end >= source_.size()) fail_at(line_, "the string is never closed");
  add(TokenKind::kString, unescape(source_.substr(at_ + 1, end - at_ - 1), line_));
  advance_to(end + 1);
}

void Lexer::lex_operator() {
  constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
  constexpr std::string_view kShort = "+-/*%~[](){}<>=.:|,;";
  const auto matches = [this](std::string_view text) { return starts_with_at(text, at_); };
  const auto found = std::find_if(std::begin(kLong), std::end(kLong), matches);
  const size_t size = found == std::end(kLong) ? 1 : 2;
  const char c = source_[at_];
  if (size == 1 && kShort.find(c) == std::string_view::npos) {
    fail_at(line_, concat("unexpected character '", c, "'"));
  }
  constexpr std::string_view kOpening = "([{";
  constexpr std::string_view kClosing = ")]}";
  if (kOpening.find(c) != std::string_view::npos) open_brackets_ += kClosing[kOpening.find(c)];
  if (kClosing.find(c) != std::string_view::npos) {
    if (open_brackets_.empty() || open_brackets_.back() != c) {
      fail_at(line_, concat("unexpected '", c, "'"));
    }
    open_brackets_.pop_back();
  }
  add(TokenKind::kOperator, source_.substr(at_, size));
  advance_to(at_ + size);
}

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  constexpr size_t kMaxSource = size_t{4} << 20;
  PRECIS_CHECK(source.size() <= kMaxSource,
               kInvalidArgument,
               "chat template: ",
               source.size(),
               " bytes, at most ",
               kMaxSource,
               " are expected");
  return Lexer(source).run();
}

void fail_at(int line, const std::string& message) {
  fail(ErrorKind::kInvalidArgument, "chat template, line ", line, ": ", message);
}

void fail_unsupported(int line, const std::string& construct) {
  fail(ErrorKind::kUnsupported, "chat template, line ", line, ": ", construct, " is not supported");
}

}  // namespace precis::jinja
