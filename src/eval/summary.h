// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "eval/evaluation.h"

namespace precis {

// A summary of evaluations in Markdown: for each task a table with a row for each compressor and
// ratio, a line that says what it shows, and the verdicts.
std::string summarise(std::span<const Evaluation> evaluations);

}  // namespace precis
