// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace precis {

// Ways to cut a text into words before merging, each equal to the regular expression beside it in
// pre_tokenizer_names.cc. Their words, joined, are the text.
enum class SplitRule : uint8_t {
  kDigits,     // every number character stands alone
  kDigitRuns,  // runs of number characters stand alone
  kGpt2,       // contractions, words with the space before them, numbers, punctuation
  kLlama3,     // as GPT-2, but any case, at most 3 digits, line breaks apart
  kQwen2,      // as Llama 3, but one digit
  kMetaspace,  // a word begins at every U+2581
};

// Applies rules one after another, each to the words that the one before left.
class PreTokenizer {
 public:
  PreTokenizer() = default;
  explicit PreTokenizer(std::vector<SplitRule> rules) : rules_(std::move(rules)) {}

  // The words of a text, as parts of it. REQUIRES: valid UTF-8.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  std::vector<SplitRule> rules_;
};

// The rule that a regular expression of a tokenizer.json stands for, if it is a known one.
std::optional<SplitRule> split_rule_of_regex(std::string_view regex);

// The rules that a GGUF file's tokenizer.ggml.pre stands for, if it is a known name.
std::optional<std::vector<SplitRule>> split_rules_of_gguf_name(std::string_view name);

// The known names, as a list for messages.
std::string known_gguf_names();

}  // namespace precis
