// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer_json_steps.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& origin, const std::string& what) {
  fail(ErrorKind::kUnsupported, origin, ": ", what, " is outside what Precis knows");
}

[[noreturn]] void refuse_part(const std::string& origin, const char* part, const json& value) {
  refuse(origin, concat(part, " ", in_quotes(value.dump(-1, ' ', true))));
}

std::string type_of(const json& part) { return part.at("type").get<std::string>(); }

// The steps of a part: none, itself, or those of a "Sequence" one level deep.
std::vector<json> steps_of(const json& file, const char* part, const char* list) {
  const auto found = file.find(part);
  if (found == file.end() || found->is_null()) return {};
  if (type_of(*found) != "Sequence") return {*found};
  return found->at(list).get<std::vector<json>>();
}

bool is_string_pattern(const json& step, std::string_view text) {
  const json& pattern = step.at("pattern");
  return pattern.contains("String") && pattern.at("String") == text;
}

NormalizerStep normalizer_step(const json& step, const std::string& origin) {
  const std::string type = type_of(step);
  if (type == "NFC") return NormalizerStep::kNfc;
  if (type == "Prepend" && step.at("prepend") == kSpaceMark) return NormalizerStep::kPrependMark;
  if (type == "Replace" && is_string_pattern(step, " ") && step.at("content") == kSpaceMark) {
    return NormalizerStep::kEscapeSpaces;
  }
  refuse_part(origin, "normalizer", step);
}

void add_byte_level(const json& step, const std::string& origin, TextSteps& steps) {
  if (step.value("add_prefix_space", false)) {
    if (!steps.splits.empty()) refuse_part(origin, "pre_tokenizer", step);
    steps.normalizer.push_back(NormalizerStep::kEnsureSpace);
  }
  if (step.value("use_regex", true)) steps.splits.push_back(SplitRule::kGpt2);
  steps.byte_level = true;
}

void add_metaspace(const json& step, const std::string& origin, TextSteps& steps) {
  if (step.at("replacement") != kSpaceMark || !steps.splits.empty()) {
    refuse_part(origin, "pre_tokenizer", step);
  }
  steps.normalizer.push_back(NormalizerStep::kEscapeSpaces);
  const bool prepends = step.value("add_prefix_space", true);  // the older name
  const std::string scheme = step.value("prepend_scheme", prepends ? "always" : "never");
  if (scheme == "always") steps.normalizer.push_back(NormalizerStep::kEnsureMark);
  if (scheme == "first") steps.normalizer.push_back(NormalizerStep::kEnsureMarkAtStart);
  if (step.value("split", true)) steps.splits.push_back(SplitRule::kMetaspace);
}

bool escapes_spaces(const TextSteps& steps) {
  return std::find(steps.normalizer.begin(),
                   steps.normalizer.end(),
                   NormalizerStep::kEscapeSpaces) != steps.normalizer.end();
}

// The long rules match all of a text, so that keeping only the matches loses nothing.
bool keeps_all_text(const json& step, SplitRule rule) {
  const std::string behavior = step.at("behavior").get<std::string>();
  const bool invert = step.value("invert", false);
  const bool is_partial = rule == SplitRule::kDigits || rule == SplitRule::kDigitRuns;
  return (behavior == "Isolated" && !invert) || (behavior == "Removed" && invert && !is_partial);
}

void add_split(const json& step, const std::string& origin, TextSteps& steps) {
  // Gemma splits at spaces after its normalizer has replaced them all: nothing is left to split.
  if (is_string_pattern(step, " ") && escapes_spaces(steps)) return;
  const std::string regex = step.at("pattern").value("Regex", "");
  const std::optional<SplitRule> rule = split_rule_of_regex(regex);
  if (!rule || !keeps_all_text(step, *rule)) refuse_part(origin, "pre_tokenizer", step);
  steps.splits.push_back(*rule);
}

void add_pre_tokenizer_step(const json& step, const std::string& origin, TextSteps& steps) {
  const std::string type = type_of(step);
  if (steps.byte_level)
    refuse(origin, concat("pre_tokenizer ", in_quotes(type), " after ByteLevel"));
  if (type == "ByteLevel") {
    add_byte_level(step, origin, steps);
  } else if (type == "Metaspace") {
    add_metaspace(step, origin, steps);
  } else if (type == "Split") {
    add_split(step, origin, steps);
  } else if (type == "Digits") {
    const bool individual = step.value("individual_digits", false);
    steps.splits.push_back(individual ? SplitRule::kDigits : SplitRule::kDigitRuns);
  } else {
    refuse_part(origin, "pre_tokenizer", step);
  }
}

void add_decoder_step(const json& step, const std::string& origin, DecoderSteps& steps) {
  const std::string type = type_of(step);
  if (type == "ByteLevel") {
    steps.byte_level = true;
  } else if (type == "Metaspace") {
    steps.unescape_spaces = true;
    const bool prepends = step.value("add_prefix_space", true);
    steps.strip_leading_space =
        step.value("prepend_scheme", prepends ? "always" : "never") != "never";
  } else if (type == "Replace" && is_string_pattern(step, kSpaceMark) &&
             step.at("content") == " ") {
    steps.unescape_spaces = true;
  } else if (type == "Strip" && step.at("content") == " " && step.at("start") == 1 &&
             step.at("stop") == 0) {
    steps.strip_leading_space = true;
  } else if (type != "ByteFallback" && type != "Fuse") {
    refuse_part(origin, "decoder", step);
  }
}

// The one token of one side, if any.
std::optional<TokenId> only_token(const std::vector<TokenId>& ids,
                                  const char* side,
                                  const std::string& origin) {
  if (ids.empty()) return std::nullopt;
  if (ids.size() > 1) {
    refuse(origin, concat("a post_processor that puts ", ids.size(), " tokens ", side, " a text"));
  }
  return ids.front();
}

// {"single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}], "special_tokens": ...}
TokensAround read_template(const json& step, const std::string& origin) {
  std::vector<TokenId> before;
  std::vector<TokenId> after;
  bool has_text = false;
  for (const json& piece : step.at("single").get_ref<const json::array_t&>()) {
    if (piece.contains("SpecialToken")) {
      const auto& name = piece.at("SpecialToken").at("id").get_ref<const std::string&>();
      const auto ids = step.at("special_tokens").at(name).at("ids").get<std::vector<TokenId>>();
      std::vector<TokenId>& side = has_text ? after : before;
      side.insert(side.end(), ids.begin(), ids.end());
      continue;
    }
    const bool is_text = piece.at("Sequence").at("id") == "A";
    if (!is_text || has_text) refuse_part(origin, "post_processor", step);
    has_text = true;
  }
  if (!has_text) refuse_part(origin, "post_processor", step);
  return {only_token(before, "before", origin), only_token(after, "behind", origin)};
}

// A token as ["<s>", 0].
TokenId id_of_pair(const json& pair) { return pair.at(1).get<TokenId>(); }

}  // namespace

TextSteps read_text_steps(const json& file, const std::string& origin) {
  TextSteps steps;
  for (const json& step : steps_of(file, "normalizer", "normalizers")) {
    steps.normalizer.push_back(normalizer_step(step, origin));
  }
  for (const json& step : steps_of(file, "pre_tokenizer", "pretokenizers")) {
    add_pre_tokenizer_step(step, origin, steps);
  }
  return steps;
}

DecoderSteps read_decoder_steps(const json& file, const std::string& origin) {
  DecoderSteps steps;
  for (const json& step : steps_of(file, "decoder", "decoders")) {
    add_decoder_step(step, origin, steps);
  }
  return steps;
}

TokensAround read_tokens_around(const json& file, const std::string& origin) {
  TokensAround around;
  bool found = false;
  for (const json& step : steps_of(file, "post_processor", "processors")) {
    const std::string type = type_of(step);
    if (type == "ByteLevel") continue;  // moves offsets only
    // Hugging Face's tokenizers ignore some of several, or stop.
    if (found) refuse(origin, "a post_processor with several steps that add tokens");
    found = true;
    if (type == "TemplateProcessing") {
      around = read_template(step, origin);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      around = {id_of_pair(step.at("cls")), id_of_pair(step.at("sep"))};
    } else {
      refuse_part(origin, "post_processor", step);
    }
  }
  return around;
}

}  // namespace precis
