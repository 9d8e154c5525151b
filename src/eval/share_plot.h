// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// A chart of the recovered share over the ratio, with a line for each compressor and for truncation
// (verbatim), as SVG. Empty if no task has such a share.
std::string recovered_share_plot(std::span<const Evaluation> evaluations);

}  // namespace precis
