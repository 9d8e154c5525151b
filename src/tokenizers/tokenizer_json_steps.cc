// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer_json_steps.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "tokenizers/tokenizer_json_step.h"

namespace precis {
namespace {

using nlohmann::json;

void add_decoder_step(const json& step, const std::string& origin, DecoderSteps& steps) {
  const std::string type = type_of(step);
  if (type == "ByteLevel") {
    steps.byte_level = true;
  } else if (type == "Metaspace") {
    steps.unescape_spaces = true;
    const bool prepends = step.value("add_prefix_space", true);
    steps.strip_leading_space =
        step.value("prepend_scheme", prepends ? "always" : "never") != "never";
  } else if (type == "Replace" && has_string_pattern(step, kSpaceMark) &&
             step.at("content") == " ") {
    steps.unescape_spaces = true;
  } else if (type == "Strip" && step.at("content") == " " && step.at("start") == 1 &&
             step.at("stop") == 0) {
    steps.strip_leading_space = true;
  } else if (type != "ByteFallback" && type != "Fuse") {
    refuse_step(origin, "decoder", step);
  }
}

// The token on one side of the text, if any. Refuses several.
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
    if (!is_text || has_text) refuse_step(origin, "post_processor", step);
    has_text = true;
  }
  if (!has_text) refuse_step(origin, "post_processor", step);
  return {only_token(before, "before", origin), only_token(after, "behind", origin)};
}

// A token as ["<s>", 0].
TokenId id_of_pair(const json& pair) { return pair.at(1).get<TokenId>(); }

}  // namespace

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
    // With several, Hugging Face's tokenizers ignore some or fail.
    if (found) refuse(origin, "a post_processor with several steps that add tokens");
    found = true;
    if (type == "TemplateProcessing") {
      around = read_template(step, origin);
    } else if (type == "RobertaProcessing" || type == "BertProcessing") {
      around = {id_of_pair(step.at("cls")), id_of_pair(step.at("sep"))};
    } else {
      refuse_step(origin, "post_processor", step);
    }
  }
  return around;
}

}  // namespace precis
