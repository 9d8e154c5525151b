// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex_cursor.h"

namespace precis {
namespace {

constexpr int kMaxDepth = 16;  // of nested classes

class ClassReader {
 public:
  explicit ClassReader(RegexCursor& cursor, int depth) : cursor_(cursor), depth_(depth) {
    if (depth > kMaxDepth) cursor.unsupported("has character classes that are nested too deeply");
  }

  CharacterSet read() {
    const bool negated = cursor_.skip_if("^");
    if (cursor_.is_next("]")) read_item();  // the first bracket is a character
    while (!cursor_.skip_if("]")) {
      if (cursor_.skip_if("&&")) {
        finish_operand();
      } else {
        read_item();
      }
    }
    finish_operand();
    const CharacterSet all = CharacterSet::intersection(operands_);
    return negated ? all.complement() : all;
  }

 private:
  void finish_operand() {
    if (set_.empty()) cursor_.malformed("has an empty character class");
    operands_.push_back(std::move(set_));
    set_ = CharacterSet();
  }

  void read_item() {
    if (cursor_.is_next("[:") && read_posix_class()) return;
    if (cursor_.skip_if("[")) {
      set_.add(ClassReader(cursor_, depth_ + 1).read());
      return;
    }
    const RegexEscape item = read_character();
    if (const auto* character = std::get_if<char32_t>(&item)) {
      read_range(*character);
    } else {
      set_.add(std::get<CharacterSet>(item));
    }
  }

  bool read_posix_class() {
    constexpr size_t kLongestName = 12;
    const std::string_view rest = cursor_.rest().substr(2, kLongestName);
    const size_t size = rest.find(":]");
    if (size == std::string_view::npos) return false;
    const auto set = posix_class(rest.substr(0, size));
    if (!set) cursor_.unsupported(concat("has [:", rest.substr(0, size), ":]"));
    cursor_.skip(2 + size + 2);
    set_.add(*set);
    return true;
  }

  RegexEscape read_character() {
    const char32_t character = cursor_.next();
    if (character != '\\') return character;
    if (cursor_.skip_if("b")) return U'\b';
    return read_regex_escape(cursor_);
  }

  void read_range(char32_t first) {
    const bool is_range = cursor_.is_next("-") && !cursor_.is_next("-]");
    if (!is_range) {
      set_.add_range(first, first);
      return;
    }
    cursor_.skip(1);
    if (cursor_.is_next("[") || cursor_.is_next("&&")) cursor_.unsupported("has an open range");
    const RegexEscape item = read_character();
    const auto* last = std::get_if<char32_t>(&item);
    if (last == nullptr || *last < first) cursor_.malformed("has a bad range");
    set_.add_range(first, *last);
  }

  RegexCursor& cursor_;
  int depth_;
  CharacterSet set_;                    // the operand being read
  std::vector<CharacterSet> operands_;  // complete operands of "&&"
};

}  // namespace

CharacterSet read_regex_class(RegexCursor& cursor) { return ClassReader(cursor, 1).read(); }

}  // namespace precis
