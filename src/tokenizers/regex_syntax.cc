// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex_syntax.h"

#include <optional>
#include <vector>

#include "tokenizers/regex_cursor.h"

namespace precis {
namespace {

constexpr size_t kMaxPatternBytes = 32768;
constexpr size_t kMaxGroups = 200;  // nested groups; PCRE2 allows 250

// \w outside a character class, where it includes the numbers of Latin-1; inside a class it does
// not.
CharacterSet word_characters() {
  CharacterSet set = *shorthand_class('w');
  set.add(CharacterSet(R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})"));
  return set;
}

std::string word_boundary(bool negated) {
  const std::string word = word_characters().matching();
  const std::string same = negated ? "=" : "!", other = negated ? "!" : "=";
  return concat("(?:(?<=", word, ")(?", same, word, ")|(?<!", word, ")(?", other, word, "))");
}

// A quantifier and its kind, which decides what may follow it.
struct Quantifier {
  std::string text;
  bool is_interval = false;  // {n,m}
  bool is_exact = false;     // {n}
};

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& origin) : cursor_(pattern, origin) {}

  std::string translate() {
    while (!cursor_.at_end()) read_token();
    if (groups_.size() > 1) cursor_.malformed("has an open group");
    return out_ + std::string(groups_.back().implicit, ')');
  }

 private:
  struct Group {
    size_t begin = 0;     // offset in the translation
    size_t implicit = 0;  // groups opened by (?i), which end with this one
  };

  void read_token() {
    if (const auto quantifier = read_quantifier()) {
      append_quantifier(*quantifier);
      return;
    }
    switch (const char32_t c = cursor_.next()) {
      case '(':
        return open_group();
      case ')':
        return close_group();
      case '|':
      case '^':
      case '$':
        return append_unrepeatable(static_cast<char>(c));
      case '.':
        return append_atom(".");
      case '[':
        return append_atom(read_regex_class(cursor_).matching());
      case '\\':
        return read_escape();
      default:
        return append_atom(regex_character(c));
    }
  }

  void append_atom(const std::string& atom) {
    begin_atom(out_.size());
    out_ += atom;
  }

  void begin_atom(size_t begin) {
    atom_ = begin;
    is_repeated_ = false;
  }

  void append_unrepeatable(char c) {
    atom_.reset();
    out_ += c;
  }

  void read_escape() {
    for (const char* anchor : {"A", "Z", "z"}) {
      if (!cursor_.skip_if(anchor)) continue;
      atom_.reset();
      out_.append("\\").append(anchor);
      return;
    }
    if (cursor_.skip_if("w")) return append_atom(word_characters().matching());
    if (cursor_.skip_if("W")) return append_atom(word_characters().excluding());
    if (cursor_.is_next("b") || cursor_.is_next("B")) {
      atom_.reset();
      out_ += word_boundary(cursor_.next() == 'B');
      return;
    }
    const RegexEscape escape = read_regex_escape(cursor_);
    const auto* character = std::get_if<char32_t>(&escape);
    append_atom(character ? regex_character(*character)
                          : std::get<CharacterSet>(escape).matching());
  }

  void open_group() {
    if (groups_.size() > kMaxGroups) cursor_.unsupported("has groups that are nested too deeply");
    if (cursor_.is_next("*")) cursor_.unsupported("has a callout");
    if (!cursor_.skip_if("?")) return push_group("(?:");  // nothing asks what a group has matched
    for (const char* kind : {":", "=", "!", "<=", "<!", ">"}) {
      if (cursor_.skip_if(kind)) return push_group(concat("(?", kind));
    }
    read_options();
  }

  void push_group(const std::string& opening) {
    groups_.push_back({out_.size(), 0});
    out_ += opening;
    atom_.reset();
  }

  // (?i) holds up to the end of the enclosing group, for all further alternatives.
  void read_options() {
    std::string options;
    while (!cursor_.is_next(")") && !cursor_.is_next(":")) options += option(cursor_.next());
    const std::string opening = concat("(?", options, ":");
    if (cursor_.next() == ':') return push_group(opening);
    out_ += opening;
    atom_.reset();
    if (++groups_.back().implicit > kMaxGroups) cursor_.unsupported("has too many options");
  }

  char option(char32_t name) const {
    if (name == 'i' || name == '-') return static_cast<char>(name);
    if (name == 'm') return 's';
    cursor_.unsupported("has a group that is none of (?: (?= (?! (?<= (?<! (?> (?i (?m");
  }

  void close_group() {
    if (groups_.size() == 1) cursor_.malformed("has an unmatched parenthesis");
    const Group group = groups_.back();
    groups_.pop_back();
    out_ += std::string(group.implicit + 1, ')');
    begin_atom(group.begin);
  }

  std::optional<Quantifier> read_quantifier() {
    for (const char* sign : {"*", "+", "?"}) {
      if (cursor_.skip_if(sign)) return Quantifier{sign};
    }
    return cursor_.is_next("{") ? read_interval() : std::nullopt;
  }

  // {n} {n,} {n,m} {,m}; any other brace is a literal character.
  std::optional<Quantifier> read_interval() {
    const size_t size = cursor_.rest().find('}');
    if (size == std::string_view::npos) return std::nullopt;
    const std::string_view text = cursor_.rest().substr(1, size - 1);
    const size_t comma = text.find(',');
    const std::string_view low = text.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? low : text.substr(comma + 1);
    if (!is_count(low) || !is_count(high) || (low.empty() && high.empty())) return std::nullopt;
    cursor_.skip(size + 1);
    if (!high.empty() && count_of(low) > count_of(high)) cursor_.unsupported("has {n,m}, n > m");
    const std::string first = low.empty() ? "0" : std::string(low);
    if (comma == std::string_view::npos) return Quantifier{concat("{", first, "}"), true, true};
    return Quantifier{concat("{", first, ",", high, "}"), true, false};
  }

  static bool is_count(std::string_view text) {
    return text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  static int count_of(std::string_view digits) {
    int value = 0;
    for (const char digit : digits) value = value * 10 + (digit - '0');
    return value;
  }

  // Only * + ? become possessive by a following '+', and {n}? makes the repetition optional. Any
  // other quantifier after a quantifier repeats the repeated item.
  void append_quantifier(const Quantifier& quantifier) {
    if (!atom_) cursor_.malformed("repeats nothing");
    if (is_repeated_) group_atom();
    out_ += quantifier.text;
    is_repeated_ = true;
    if (!quantifier.is_exact && cursor_.skip_if("?")) {
      out_ += '?';
    } else if (!quantifier.is_interval && cursor_.skip_if("+")) {
      out_ += '+';
    }
  }

  void group_atom() {
    if (++num_grouped_ > kMaxGroups) cursor_.unsupported("has too many quantifiers in a row");
    out_.insert(*atom_, "(?:").append(")");
  }

  RegexCursor cursor_;
  std::string out_;
  std::optional<size_t> atom_;  // where the last repeatable item begins
  bool is_repeated_ = false;    // that item has a quantifier
  size_t num_grouped_ = 0;      // items with more than one quantifier
  std::vector<Group> groups_{Group{}};
};

}  // namespace

std::string to_pcre2_syntax(std::string_view pattern, const std::string& origin) {
  PRECIS_CHECK(pattern.size() <= kMaxPatternBytes,
               kUnsupported,
               origin,
               ": a regular expression of ",
               pattern.size(),
               " bytes, expected at most ",
               kMaxPatternBytes);
  return Translator(pattern, origin).translate();
}

}  // namespace precis
