// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "tokenizers/tokenizer_json_step.h"
#include "tokenizers/tokenizer_json_steps.h"

namespace precis {
namespace {

using nlohmann::json;

struct NamedBehavior {
  std::string_view name;
  SplitBehavior behavior;
};
constexpr NamedBehavior kBehaviors[] = {
    {"Removed", SplitBehavior::kRemoved},
    {"Isolated", SplitBehavior::kIsolated},
    {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
    {"MergedWithNext", SplitBehavior::kMergedWithNext},
    {"Contiguous", SplitBehavior::kContiguous},
};

// ASCII symbols count as punctuation.
constexpr std::string_view kPunctuation = R"([\p{P}$+<=>\^`|~])";

Regex read_pattern(const json& step, const std::string& origin) {
  const json& pattern = step.at("pattern");
  const auto text = pattern.find("String");
  if (text != pattern.end()) return Regex::literal(text->get_ref<const std::string&>(), origin);
  return Regex(pattern.at("Regex").get_ref<const std::string&>(), origin);
}

NormalizerStep read_normalizer_step(const json& step, const std::string& origin) {
  const std::string type = type_of(step);
  if (type == "NFC") return TextRule::kNfc;
  if (type == "Prepend" && step.at("prepend") == kSpaceMark) return TextRule::kPrependMark;
  if (type != "Replace") refuse_step(origin, "normalizer", step);
  const auto& content = step.at("content").get_ref<const std::string&>();
  if (has_string_pattern(step, " ") && content == kSpaceMark) return TextRule::kEscapeSpaces;
  return Replacement{read_pattern(step, origin), content};
}

void add_byte_level(const json& step, const std::string& origin, TextSteps& steps) {
  if (step.value("add_prefix_space", false)) {
    if (!steps.splits.empty()) refuse_step(origin, "pre_tokenizer", step);
    steps.normalizer.push_back(TextRule::kEnsureSpace);
  }
  if (step.value("use_regex", true)) steps.splits.push_back(SplitRule::kGpt2);
  steps.byte_level = true;
}

void add_metaspace(const json& step, const std::string& origin, TextSteps& steps) {
  if (step.at("replacement") != kSpaceMark || !steps.splits.empty()) {
    refuse_step(origin, "pre_tokenizer", step);
  }
  steps.normalizer.push_back(TextRule::kEscapeSpaces);
  const bool prepends = step.value("add_prefix_space", true);  // the older name
  const std::string scheme = step.value("prepend_scheme", prepends ? "always" : "never");
  if (scheme == "always") steps.normalizer.push_back(TextRule::kEnsureMark);
  if (scheme == "first") steps.normalizer.push_back(TextRule::kEnsureMarkAtStart);
  if (step.value("split", true)) steps.splits.push_back(SplitRule::kMetaspace);
}

bool escapes_spaces(const TextSteps& steps) {
  return std::any_of(
      steps.normalizer.begin(), steps.normalizer.end(), [](const NormalizerStep& step) {
        const auto* rule = std::get_if<TextRule>(&step);
        return rule != nullptr && *rule == TextRule::kEscapeSpaces;
      });
}

SplitBehavior read_behavior(const json& step, const std::string& origin) {
  const std::string name = step.value("behavior", "Isolated");
  const auto* const found =
      std::find_if(std::begin(kBehaviors), std::end(kBehaviors), [&](const NamedBehavior& row) {
        return row.name == name;
      });
  if (found == std::end(kBehaviors)) refuse_step(origin, "pre_tokenizer", step);
  return found->behavior;
}

// The rule equal to the step, if there is one. Rules keep all text. The expressions of the long
// rules match all text, so that steps that keep only the matches are equal, too.
std::optional<SplitRule> equal_rule(const json& step, SplitBehavior behavior, bool invert) {
  const json& pattern = step.at("pattern");
  const auto regex = pattern.find("Regex");
  if (regex == pattern.end()) return std::nullopt;
  const auto rule = split_rule_of_regex(regex->get_ref<const std::string&>());
  const bool is_partial = rule == SplitRule::kDigits || rule == SplitRule::kDigitRuns;
  const bool keeps_all_text = (behavior == SplitBehavior::kIsolated && !invert) ||
                              (behavior == SplitBehavior::kRemoved && invert && !is_partial);
  return keeps_all_text ? rule : std::nullopt;
}

SplitStep read_split(const json& step, const std::string& origin) {
  const SplitBehavior behavior = read_behavior(step, origin);
  const bool invert = step.value("invert", false);
  if (const auto rule = equal_rule(step, behavior, invert)) return *rule;
  return RegexSplit(read_pattern(step, origin), behavior, invert);
}

// Reads a step that only splits the text; nullopt for other steps.
std::optional<SplitStep> read_cut(const json& step, const std::string& origin) {
  const std::string type = type_of(step);
  if (type == "Split") return read_split(step, origin);
  if (type == "Digits") {
    const bool individual = step.value("individual_digits", false);
    return individual ? SplitRule::kDigits : SplitRule::kDigitRuns;
  }
  if (type != "Punctuation") return std::nullopt;
  return RegexSplit(Regex(kPunctuation, origin), read_behavior(step, origin), false);
}

void add_pre_tokenizer_step(const json& step, const std::string& origin, TextSteps& steps) {
  const std::string type = type_of(step);
  // Gemma splits at spaces after its normalizer has replaced them all: the step has no effect.
  if (type == "Split" && has_string_pattern(step, " ") && escapes_spaces(steps)) return;
  if (auto cut = read_cut(step, origin)) {
    auto& splits = steps.byte_level ? steps.byte_splits : steps.splits;
    splits.push_back(std::move(*cut));
  } else if (type == "ByteLevel" && !steps.byte_level) {
    add_byte_level(step, origin, steps);
  } else if (type == "Metaspace" && !steps.byte_level) {
    add_metaspace(step, origin, steps);
  } else {
    refuse_step(origin, "pre_tokenizer", step);
  }
}

}  // namespace

TextSteps read_text_steps(const json& file, const std::string& origin) {
  TextSteps steps;
  for (const json& step : steps_of(file, "normalizer", "normalizers")) {
    steps.normalizer.push_back(read_normalizer_step(step, origin));
  }
  for (const json& step : steps_of(file, "pre_tokenizer", "pretokenizers")) {
    add_pre_tokenizer_step(step, origin, steps);
  }
  return steps;
}

}  // namespace precis
