// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace precis {

// A set of characters in PCRE2's syntax. PCRE2 has neither nested character classes nor
// intersections: these are kept as further expressions, each of which matches one character.
class CharacterSet {
 public:
  // Items of a class without its brackets, such as "a-z\p{Nd}".
  explicit CharacterSet(std::string items) : items_(std::move(items)) {}
  CharacterSet() = default;

  bool empty() const { return items_.empty() && others_.empty(); }
  void add(const CharacterSet& other);
  void add_range(char32_t first, char32_t last);

  // An expression that matches one character that is in the set, or one that is not.
  std::string matching() const;
  std::string excluding() const;
  CharacterSet complement() const;
  // The characters that are in all sets. REQUIRES: sets is not empty.
  static CharacterSet intersection(const std::vector<CharacterSet>& sets);

 private:
  std::string items_;
  std::vector<std::string> others_;
};

// A character escaped so that PCRE2 reads it inside a class and outside.
std::string regex_character(char32_t code_point);

// The sets of \s \S \w \W \d \D \h \H, as Oniguruma defines them for Unicode text; nullopt for any
// other letter.
std::optional<CharacterSet> shorthand_class(char32_t letter);

// The set of [:name:]. For punct it is larger than \p{Punct}. nullopt if the name is unknown.
std::optional<CharacterSet> posix_class(std::string_view name);

// The set of \p{name}: a general category, a script, a binary property, or a POSIX name. Spaces,
// '_',
// '-' and case of the name are ignored. Names that PCRE2 does not know fail at compilation.
CharacterSet property_class(std::string_view name);

}  // namespace precis
