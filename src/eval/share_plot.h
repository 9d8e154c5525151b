// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// Recovered share against text tokens per memory row, of every compressor's memories and of
// verbatim text, as SVG; empty if no task has a share.
std::string recovered_share_plot(std::span<const Evaluation> evaluations);

}  // namespace precis
