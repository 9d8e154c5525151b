// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "eval/evaluation.h"
#include "eval/readings.h"
#include "precis/engine.h"

namespace precis {

using EvaluationProgress = std::function<void(const std::string& stage, double done)>;

// Throws kInvalidArgument for numbers out of range and tasks without their file, kNotFound for a
// file that is not there. To be asked before a model is loaded.
void check(const EvaluationOptions& options);

// The same, and kInvalidArgument for ratios that the compressor does not take, texts too long for
// it or for the model: what is known before anything is measured.
void check(const EvaluationOptions& options, const Compressor& compressor, const Decoder& decoder);

// What the engine's compressor is worth to its model, task by task and ratio by ratio. A task that
// the compressor was not made for is left out with a note. Throws as check(); before heavy work
// kInvalidArgument or kBadWeights naming what is wrong in a file, kInvalidArgument for ratios that
// the compressor does not take, texts too long for it or the model, and too few texts; kUnsupported
// if it can do none of the tasks. `progress`, if any, hears the stage at hand and the share of it
// that is done, 0 to 1.
Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    const EvaluationProgress& progress = {});

// The same; prompts without memories that were read for an earlier evaluation are not read again.
// Only times may differ from those of an evaluation of its own: they are the earlier ones.
Evaluation evaluate(const Engine& engine,
                    const EvaluationOptions& options,
                    Readings& readings,
                    const EvaluationProgress& progress = {});

}  // namespace precis
