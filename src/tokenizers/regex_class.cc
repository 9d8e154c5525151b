// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/regex_class.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/check.h"

namespace precis {
namespace {

// A name, its set, and the complement if PCRE2 can write it inside a class.
struct NamedSet {
  std::string_view name;
  std::string_view items;
  std::string_view complement = {};
};

// The property White_Space, as ranges: they match several times faster than a property. PCRE2's own
// \s holds U+180E as well.
constexpr std::string_view kSpace =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpace =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF})"
    R"(\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

constexpr NamedSet kShorthands[] = {
    {"s", kSpace, kNotSpace}, {"d", R"(\p{Nd})", R"(\P{Nd})"}, {"h", kHexDigit}, {"w", kWord}};

constexpr NamedSet kPosixNames[] = {{"alnum", R"(\p{Alphabetic}\p{Nd})"},
                                    {"alpha", R"(\p{Alphabetic})", R"(\P{Alphabetic})"},
                                    {"ascii", R"(\x{0}-\x{7F})", R"(\x{80}-\x{10FFFF})"},
                                    {"blank", R"(\x{9}\p{Zs})"},
                                    {"digit", R"(\p{Nd})", R"(\P{Nd})"},
                                    {"lower", R"(\p{Lowercase})", R"(\P{Lowercase})"},
                                    {"space", kSpace, kNotSpace},
                                    {"upper", R"(\p{Uppercase})", R"(\P{Uppercase})"},
                                    {"word", kWord},
                                    {"xdigit", kHexDigit}};

// Long names of general categories; PCRE2 knows the short ones.
constexpr NamedSet kCategories[] = {{"any", R"(\x{0}-\x{10FFFF})"},
                                    {"casedletter", R"(\p{L&})"},
                                    {"closepunctuation", R"(\p{Pe})"},
                                    {"connectorpunctuation", R"(\p{Pc})"},
                                    {"control", R"(\p{Cc})"},
                                    {"currencysymbol", R"(\p{Sc})"},
                                    {"dashpunctuation", R"(\p{Pd})"},
                                    {"decimalnumber", R"(\p{Nd})"},
                                    {"enclosingmark", R"(\p{Me})"},
                                    {"finalpunctuation", R"(\p{Pf})"},
                                    {"format", R"(\p{Cf})"},
                                    {"initialpunctuation", R"(\p{Pi})"},
                                    {"lc", R"(\p{L&})"},
                                    {"letter", R"(\p{L})"},
                                    {"letternumber", R"(\p{Nl})"},
                                    {"lineseparator", R"(\p{Zl})"},
                                    {"lowercaseletter", R"(\p{Ll})"},
                                    {"mark", R"(\p{M})"},
                                    {"mathsymbol", R"(\p{Sm})"},
                                    {"modifierletter", R"(\p{Lm})"},
                                    {"modifiersymbol", R"(\p{Sk})"},
                                    {"nonspacingmark", R"(\p{Mn})"},
                                    {"number", R"(\p{N})"},
                                    {"openpunctuation", R"(\p{Ps})"},
                                    {"other", R"(\p{C})"},
                                    {"otherletter", R"(\p{Lo})"},
                                    {"othernumber", R"(\p{No})"},
                                    {"otherpunctuation", R"(\p{Po})"},
                                    {"othersymbol", R"(\p{So})"},
                                    {"paragraphseparator", R"(\p{Zp})"},
                                    {"privateuse", R"(\p{Co})"},
                                    {"punct", R"(\p{P})"},
                                    {"punctuation", R"(\p{P})"},
                                    {"separator", R"(\p{Z})"},
                                    {"spaceseparator", R"(\p{Zs})"},
                                    {"spacingmark", R"(\p{Mc})"},
                                    {"symbol", R"(\p{S})"},
                                    {"titlecaseletter", R"(\p{Lt})"},
                                    {"unassigned", R"(\p{Cn})"},
                                    {"uppercaseletter", R"(\p{Lu})"}};

// Binary properties, which PCRE2 spells without a prefix. All other long names are scripts.
constexpr std::string_view kProperties[] = {"alphabetic",
                                            "defaultignorablecodepoint",
                                            "emoji",
                                            "emojicomponent",
                                            "emojimodifier",
                                            "emojimodifierbase",
                                            "emojipresentation",
                                            "extendedpictographic",
                                            "ideographic",
                                            "idcontinue",
                                            "idstart",
                                            "lowercase",
                                            "math",
                                            "unifiedideograph",
                                            "uppercase",
                                            "whitespace",
                                            "xidcontinue",
                                            "xidstart"};

template <size_t count>
std::optional<NamedSet> find_set(const NamedSet (&sets)[count], std::string_view name) {
  const auto* const found = std::find_if(
      std::begin(sets), std::end(sets), [name](const NamedSet& set) { return set.name == name; });
  if (found == std::end(sets)) return std::nullopt;
  return *found;
}

CharacterSet set_of(const NamedSet& set) { return CharacterSet(std::string(set.items)); }

CharacterSet complement_of(const NamedSet& set) {
  if (set.complement.empty()) return set_of(set).complement();
  return CharacterSet(std::string(set.complement));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string plain_name(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (c != ' ' && c != '_' && c != '-') plain += lower(c);
  }
  return plain;
}

// PCRE2's \p{Han} is the property Script_Extensions, Oniguruma's is Script.
std::string script_or_property(const std::string& name) {
  const bool is_category = name.size() <= 2;
  const bool is_property =
      std::find(std::begin(kProperties), std::end(kProperties), name) != std::end(kProperties);
  return concat(R"(\p{)", is_category || is_property ? "" : "sc:", name, "}");
}

}  // namespace

void CharacterSet::add(const CharacterSet& other) {
  items_ += other.items_;
  others_.insert(others_.end(), other.others_.begin(), other.others_.end());
}

void CharacterSet::add_range(char32_t first, char32_t last) {
  items_ += regex_character(first);
  if (first != last) items_.append("-").append(regex_character(last));
}

std::string CharacterSet::matching() const {
  if (others_.empty()) return concat("[", items_, "]");
  if (items_.empty() && others_.size() == 1) return others_.front();
  std::string any = "(?:";
  if (!items_.empty()) any += concat("[", items_, "]|");
  for (const std::string& other : others_) any += other + "|";
  any.back() = ')';
  return any;
}

std::string CharacterSet::excluding() const {
  if (others_.empty()) return concat("[^", items_, "]");
  return concat("(?:(?!", matching(), ")(?s:.))");
}

CharacterSet CharacterSet::complement() const {
  CharacterSet set;
  set.others_.push_back(excluding());
  return set;
}

CharacterSet CharacterSet::intersection(const std::vector<CharacterSet>& sets) {
  if (sets.size() == 1) return sets.front();
  std::string all = "(?:";
  for (size_t i = 0; i + 1 < sets.size(); ++i) all += concat("(?=", sets[i].matching(), ")");
  CharacterSet set;
  set.others_.push_back(all + sets.back().matching() + ")");
  return set;
}

std::string regex_character(char32_t code_point) {
  const bool is_plain = (code_point >= '0' && code_point <= '9') ||
                        (code_point >= 'A' && code_point <= 'Z') ||
                        (code_point >= 'a' && code_point <= 'z');
  if (is_plain) return std::string(1, static_cast<char>(code_point));
  std::ostringstream escape;
  escape << R"(\x{)" << std::hex << std::uppercase << static_cast<uint32_t>(code_point) << "}";
  return escape.str();
}

std::optional<CharacterSet> shorthand_class(char32_t letter) {
  if (letter >= 0x80) return std::nullopt;
  const char name = static_cast<char>(letter);
  const char small = lower(name);
  const auto set = find_set(kShorthands, {&small, 1});
  if (!set) return std::nullopt;
  return name == small ? set_of(*set) : complement_of(*set);
}

std::optional<CharacterSet> posix_class(std::string_view name) {
  const bool negated = name.starts_with('^');
  if (negated) name.remove_prefix(1);
  const auto set =
      name == "punct" ? NamedSet{"punct", R"(\p{P}\p{S})"} : find_set(kPosixNames, name);
  if (!set) return std::nullopt;
  return negated ? complement_of(*set) : set_of(*set);
}

CharacterSet property_class(std::string_view name) {
  const std::string plain = plain_name(name);
  if (const auto posix = find_set(kPosixNames, plain)) return set_of(*posix);
  if (const auto category = find_set(kCategories, plain)) return set_of(*category);
  return CharacterSet(script_or_property(plain));
}

}  // namespace precis
