// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "tokenizers/pre_tokenizer.h"

namespace precis {
namespace {

struct KnownRegex {
  std::string_view regex;
  SplitRule rule;
};

// As the published tokenizer.json files spell them.
constexpr KnownRegex kRegexes[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     SplitRule::kGpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     SplitRule::kGpt2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::kLlama3},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitRule::kQwen2},
    {R"(\p{N})", SplitRule::kDigits},
    {R"(\p{N}+)", SplitRule::kDigitRuns},
};

struct KnownName {
  std::string_view name;
  SplitRule last;
  bool digits_first = false;
};

// Names that llama.cpp's converter writes for models whose tokenizer.json has these rules. Only
// names whose ids were compared with the reference are listed: others may use the same splits but
// normalise the text differently.
constexpr KnownName kNames[] = {
    {"gpt-2", SplitRule::kGpt2},
    {"smollm", SplitRule::kGpt2, true},
    {"starcoder", SplitRule::kGpt2, true},
    {"refact", SplitRule::kGpt2, true},
    {"llama3", SplitRule::kLlama3},
    {"llama-v3", SplitRule::kLlama3},
    {"llama-bpe", SplitRule::kLlama3},
    {"qwen2", SplitRule::kQwen2},
};

}  // namespace

std::optional<SplitRule> split_rule_of_regex(std::string_view regex) {
  const auto known = std::find_if(std::begin(kRegexes),
                                  std::end(kRegexes),
                                  [regex](const KnownRegex& row) { return row.regex == regex; });
  if (known == std::end(kRegexes)) return std::nullopt;
  return known->rule;
}

std::optional<std::vector<SplitRule>> split_rules_of_gguf_name(std::string_view name) {
  const auto known = std::find_if(std::begin(kNames),
                                  std::end(kNames),
                                  [name](const KnownName& row) { return row.name == name; });
  if (known == std::end(kNames)) return std::nullopt;
  if (!known->digits_first) return std::vector{known->last};
  return std::vector{SplitRule::kDigits, known->last};
}

std::string known_gguf_names() {
  std::string names;
  for (const KnownName& row : kNames) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

}  // namespace precis
