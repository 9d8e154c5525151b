// SPDX-License-Identifier: Apache-2.0
#include "tokenizers/tokenizer_json_step.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/in_quotes.h"

namespace precis {

using nlohmann::json;

void refuse(const std::string& origin, const std::string& what) {
  fail(ErrorKind::kUnsupported, origin, ": ", what, " is outside what Precis knows");
}

void refuse_step(const std::string& origin, const char* component, const json& step) {
  refuse(origin, concat(component, " ", in_quotes(step.dump(-1, ' ', true))));
}

std::string type_of(const json& step) { return step.at("type").get<std::string>(); }

std::vector<json> steps_of(const json& file, const char* component, const char* list) {
  const auto found = file.find(component);
  if (found == file.end() || found->is_null()) return {};
  if (type_of(*found) != "Sequence") return {*found};
  return found->at(list).get<std::vector<json>>();
}

bool has_string_pattern(const json& step, std::string_view text) {
  const json& pattern = step.at("pattern");
  return pattern.contains("String") && pattern.at("String") == text;
}

}  // namespace precis
