// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "eval/evaluation.h"
#include "eval/evaluation_items.h"
#include "precis/engine.h"

namespace precis {

// The tasks to run: those of options.tasks, else all that the files allow. Each once, in the order
// of EvaluationTask.
std::vector<EvaluationTask> tasks_of(const EvaluationOptions& options);

// Ratios to evaluate at, ascending; none stands for the compressor's own. Throws kInvalidArgument
// if there are ratios and the compressor has a fixed one.
std::vector<std::optional<double>> ratios_of(const EvaluationOptions& options,
                                             const Compressor& compressor);

// Throws kInvalidArgument if texts of options.older tokens are too long for the compressor, or the
// prompts and outputs of the tasks for the model's context.
void check_lengths(const EvaluationOptions& options,
                   const Compressor& compressor,
                   const Decoder& decoder);

// Lengths of questions that fit compressor and model.
QuestionLengths longest_questions(const Engine& engine);

}  // namespace precis
