// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace precis {

// Throws kInvalidArgument for options out of range and for those that the compressor does not
// support, kUnsupported for an objective that it was not made for.
void check_options(const TrainerOptions& options, const Compressor& compressor);

// The learning rate of a step, from 1: a linear warm-up, then a cosine.
double learning_rate(const TrainerOptions& options, int64_t step);

// Describes a run as JSON: everything that must be equal for a checkpoint to be resumed with the
// losses of an uninterrupted run. `compressor`: before its first step.
std::string describe_run(const TrainerOptions& options,
                         const Compressor& compressor,
                         const Decoder& decoder,
                         const TrainingData& data);

}  // namespace precis
