// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// All of it, with the verdicts; a measured value is {"value", "low", "high"}, ends of its 95 %
// interval. What is not finite becomes null.
nlohmann::json to_json(const Evaluation& evaluation);

// Evaluations of one or several compressors as Markdown: what they come to (summarise()), then all
// arms and costs of each. REQUIRES: at least one.
std::string to_markdown(std::span<const Evaluation> evaluations);

}  // namespace precis
