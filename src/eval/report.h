// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// All of it; a measured value is {"value", "low", "high"}, ends of its 95 % interval. What is not
// finite becomes null.
nlohmann::json to_json(const Evaluation& evaluation);

// The same as Markdown tables.
std::string to_markdown(const Evaluation& evaluation);

// Recovered share against text tokens per memory row, of memory and verbatim text, as SVG; empty if
// no task has a share.
std::string recovered_share_plot(const Evaluation& evaluation);

}  // namespace precis
