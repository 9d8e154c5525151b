// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizers/regex_split.h"

namespace precis {

// Rules that split a text into words. Each equals a regular expression in pre_tokenizer_names.cc
// but is two to five times as fast as PCRE2. The words, concatenated, are the text.
enum class SplitRule : uint8_t {
  kDigits,     // every number character is a word
  kDigitRuns,  // runs of number characters are words
  kGpt2,       // contractions, words with the space before them, numbers, punctuation
  kLlama3,     // as GPT-2, but contractions in any case, at most 3 digits, line breaks separate
  kQwen2,      // as Llama 3, but one digit
  kMetaspace,  // a word begins at every U+2581
};

using SplitStep = std::variant<SplitRule, RegexSplit>;

// Splits a text into words before merging. Steps are applied in order, each to the words of the
// previous one.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  // `byte_steps`: steps that follow ByteLevel in a tokenizer.json. They are applied last, to words
  // written in GPT-2's byte alphabet, one character for each byte.
  explicit PreTokenizer(std::vector<SplitStep> steps, std::vector<SplitStep> byte_steps = {})
      : steps_(std::move(steps)), byte_steps_(std::move(byte_steps)) {}

  // The words of a text, as substrings of it. A byte step may split inside a character. Text that a
  // step removes is in no word. REQUIRES: valid UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::vector<SplitStep> steps_;
  std::vector<SplitStep> byte_steps_;
};

// The rule equal to a regular expression of a tokenizer.json, if there is one.
std::optional<SplitRule> split_rule_of_regex(std::string_view regex);

// The rules for the value of tokenizer.ggml.pre in a GGUF file, if it is known.
std::optional<std::vector<SplitRule>> split_rules_of_gguf_name(std::string_view name);

// The known names, as a list for messages.
std::string known_gguf_names();

}  // namespace precis
