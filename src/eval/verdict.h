// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "eval/evaluation.h"

namespace precis {

// What a result says, in words, to follow the compressor's name: "recovers 88 % of what the full
// text gives; keeping as many last tokens gives 59 %. ... It is better than truncating."
// "Better" and "worse" are said where the 95 % interval of the paired difference excludes 0, "no
// better" where it does not.
std::string verdict(EvaluationTask task, const RatioResult& result);

}  // namespace precis
