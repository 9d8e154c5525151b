// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "eval/evaluation.h"
#include "eval/readings.h"
#include "precis/engine.h"

namespace precis {

// Progress callback: the current stage and the share of it that is done, 0 to 1.
using EvaluationProgress = std::function<void(const std::string& stage, double done)>;

// Throws kInvalidArgument for numbers out of range and tasks without their file, kNotFound for a
// file that does not exist. Needs no model, so call it before loading one.
void check(const EvaluationOptions& options);

// The same, and kInvalidArgument for ratios that the compressor does not support and texts that are
// too long for it or for the model.
void check(const EvaluationOptions& options, const Compressor& compressor, const Decoder& decoder);

// Evaluates the engine's compressor on each task at each ratio. A task that the compressor was not
// made for is left out with a note. Throws before heavy work: as check(); kInvalidArgument naming
// the file and line for bad data, and for too few texts; kUnsupported if the compressor can do none
// of the tasks.
Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    const EvaluationProgress& progress = {});

// The same; results of prompts without memories are taken from `readings` where an earlier
// evaluation computed them. Their times are then those of the earlier evaluation.
Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    Readings& readings,
                    const EvaluationProgress& progress = {});

}  // namespace precis
