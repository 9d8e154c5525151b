// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// All of it; a measured value is {"value", "low", "high"}, ends of its 95 % interval. What is not
// finite becomes null.
nlohmann::json to_json(const Evaluation& evaluation);

// Evaluations of one or several compressors as Markdown: of several first a table of their shares,
// then the tables of each.
std::string to_markdown(std::span<const Evaluation> evaluations);

// Recovered share against text tokens per memory row, of every compressor's memories and of
// verbatim text, as SVG; empty if no task has a share.
std::string recovered_share_plot(std::span<const Evaluation> evaluations);

}  // namespace precis
