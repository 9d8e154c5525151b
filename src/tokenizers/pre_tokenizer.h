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

// Rules that cut a text into words, each equal to the regular expression beside it in
// pre_tokenizer_names.cc but two to five times as fast as PCRE2. Their words, joined, are the text.
enum class SplitRule : uint8_t {
  kDigits,     // every number character stands alone
  kDigitRuns,  // runs of number characters stand alone
  kGpt2,       // contractions, words with the space before them, numbers, punctuation
  kLlama3,     // as GPT-2, but any case, at most 3 digits, line breaks apart
  kQwen2,      // as Llama 3, but one digit
  kMetaspace,  // a word begins at every U+2581
};

using SplitStep = std::variant<SplitRule, RegexSplit>;

// Cuts a text into words before merging. Steps are applied one after another, each to the words
// that the one before has left.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  // `byte_steps` come last and see a word as it is written in GPT-2's byte alphabet, a character
  // for each byte: steps that follow ByteLevel in a tokenizer.json.
  explicit PreTokenizer(std::vector<SplitStep> steps, std::vector<SplitStep> byte_steps = {})
      : steps_(std::move(steps)), byte_steps_(std::move(byte_steps)) {}

  // The words of a text, as substrings of it; a byte step may cut inside a character. Text that a
  // step removes is in none of them. REQUIRES: valid UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::vector<SplitStep> steps_;
  std::vector<SplitStep> byte_steps_;
};

// The rule that equals a regular expression of a tokenizer.json, if there is one.
std::optional<SplitRule> split_rule_of_regex(std::string_view regex);

// The rules that a GGUF file's tokenizer.ggml.pre stands for, if it is a known name.
std::optional<std::vector<SplitRule>> split_rules_of_gguf_name(std::string_view name);

// The known names, as a list for messages.
std::string known_gguf_names();

}  // namespace precis
