// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "eval/evaluation.h"
#include "eval/evaluation_rows.h"
#include "precis/engine.h"

namespace precis {

// The tasks to do: those asked for, else all that the files allow. Each once, in the order of
// EvaluationTask.
std::vector<EvaluationTask> tasks_of(const EvaluationOptions& options);

// Ratios to evaluate at, ascending; none stands for the compressor's own. Throws kInvalidArgument
// if the compressor takes none or cannot obey one.
std::vector<std::optional<double>> ratios_of(const EvaluationOptions& options,
                                             const Compressor& compressor);

// Throws kInvalidArgument if texts of options.older tokens are too long for the compressor, or what
// the tasks read and write for the model's window.
void check_lengths(const EvaluationOptions& options,
                   const Compressor& compressor,
                   const Decoder& decoder);

// Questions that fit compressor and model.
QuestionLengths longest_questions(const Engine& engine);

}  // namespace precis
