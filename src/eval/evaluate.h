// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "eval/evaluation.h"
#include "precis/engine.h"

namespace precis {

// Throws kInvalidArgument for numbers out of range and tasks without their file, kNotFound for a
// file that is not there. To be asked before a model is loaded.
void check(const EvaluationOptions& options);

// The same, and kInvalidArgument for ratios that the engine's compressor does not take, texts too
// long for it or for the model: what is known before anything is measured.
void check(const EvaluationOptions& options, const Engine& engine);

// What the engine's compressor is worth to its model, task by task and ratio by ratio. A task that
// the compressor was not made for is left out with a note. Throws as check(); before heavy work
// kInvalidArgument or kBadWeights naming what is wrong in a file, kInvalidArgument for ratios that
// the compressor does not take, texts too long for it or the model, and too few texts; kUnsupported
// if it can do none of the tasks. `progress`, if any, hears the stage at hand and the share of it
// that is done, 0 to 1.
Evaluation evaluate(
    const Engine& engine,
    const EvaluationOptions& options,
    const std::function<void(const std::string& stage, double done)>& progress = {});

}  // namespace precis
