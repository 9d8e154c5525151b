// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace precis {

// Throws kUnsupported: Precis does not support `what`.
[[noreturn]] void refuse(const std::string& origin, const std::string& what);
// The same, quoting a step of "normalizer", "pre_tokenizer", "decoder" or "post_processor".
[[noreturn]] void refuse_step(const std::string& origin,
                              const char* component,
                              const nlohmann::json& step);

std::string type_of(const nlohmann::json& step);

// The steps of a component: none, itself, or those of a "Sequence" one level deep, which are under
// the key `list`.
std::vector<nlohmann::json> steps_of(const nlohmann::json& file,
                                     const char* component,
                                     const char* list);

// Whether the step's pattern is {"String": text}.
bool has_string_pattern(const nlohmann::json& step, std::string_view text);

}  // namespace precis
