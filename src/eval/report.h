// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// An evaluation as JSON, with verdicts. A measured value is {"value", "low", "high"}, with the ends
// of its 95 % interval. Needles have a task for each length, "needles_512". Values that are not
// finite are null.
nlohmann::json to_json(const Evaluation& evaluation);

// Evaluations of one or several compressors as Markdown: summarise(), then all arms and costs of
// each. REQUIRES: at least one.
std::string to_markdown(std::span<const Evaluation> evaluations);

}  // namespace precis
