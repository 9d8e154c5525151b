// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/jinja/budget.h"

// Strings with origins, and UTF-8.
namespace precis::jinja {

// Bytes of one origin: from the end of the previous run up to `end`.
struct Run {
  size_t end;
  int source;
};

// An immutable string that knows the origin of each byte. Cheap to copy. `is_markup` is set by the
// filter "safe": as with markupsafe's Markup, adding to such a text escapes the other operand.
class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, int source = MarkedText::kTemplate);
  Text(std::string bytes, std::vector<Run> runs, bool is_markup);

  std::string_view bytes() const { return content_ ? content_->bytes : std::string_view(); }
  bool empty() const { return bytes().empty(); }
  size_t length() const { return content_ ? content_->length : 0; }  // in code points
  bool is_ascii() const { return length() == bytes().size(); }
  bool is_markup() const { return content_ && content_->is_markup; }
  const std::vector<Run>& runs() const;

  size_t run_at(size_t byte) const;  // index into runs()
  int source_at(size_t byte) const { return runs()[run_at(byte)].source; }
  size_t byte_offset(size_t code_point) const;  // of the start of this code point
  size_t code_point_at(size_t byte_offset) const;
  Text with_markup(Budget& budget, bool is_markup) const;

 private:
  struct Content {
    std::string bytes;
    std::vector<Run> runs;
    size_t length;
    bool is_markup;
  };
  std::shared_ptr<const Content> content_;
};

// Builds texts during a rendering; keeps origins and charges the budget.
class TextBuilder {
 public:
  explicit TextBuilder(Budget& budget) : budget_(&budget) {}

  void add(std::string_view bytes, int source = MarkedText::kTemplate);
  void add(const Text& text) { add(text, 0, text.bytes().size()); }
  void add(const Text& text, size_t begin, size_t end);  // in bytes

  Budget& budget() { return *budget_; }
  Text take(bool is_markup = false);

 private:
  Budget* budget_;
  std::string bytes_;
  std::vector<Run> runs_;
};

// A decoded character of UTF-8. `value` is negative for a byte that is not part of a valid one.
struct CodePoint {
  int32_t value;
  size_t size;  // in bytes
};
CodePoint decode_at(std::string_view bytes, size_t offset);
CodePoint decode_before(std::string_view bytes, size_t offset);
void append_utf8(std::string& out, int32_t code_point);
bool is_space(int32_t code_point);      // as Python's str.isspace
bool is_printable(int32_t code_point);  // as Python's str.isprintable

// Calls visit(code point, bytes, source) for each character in order.
template <typename Visit>
void for_each_character(Budget& budget, const Text& text, Visit visit) {
  budget.scan(text.bytes().size());
  size_t at = 0;
  for (const Run& run : text.runs()) {
    const std::string_view bytes = text.bytes().substr(0, run.end);
    while (at < run.end) {
      const CodePoint point = decode_at(bytes, at);
      visit(point.value, bytes.substr(at, point.size), run.source);
      at += point.size;
    }
  }
}

}  // namespace precis::jinja
