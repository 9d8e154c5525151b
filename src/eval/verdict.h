// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "eval/evaluation.h"

namespace precis {

// A result as sentences whose subject is the compressor: "recovers 88 % of what the full text
// gives; keeping as many last tokens gives 59 %. ... It is better than truncating." "Better" and
// "worse": the 95 % interval of the paired difference excludes 0; "no better": it includes 0.
std::string verdict(EvaluationTask task, const RatioResult& result);

}  // namespace precis
