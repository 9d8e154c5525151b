// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace precis {

// Throws kInvalidArgument for numbers out of range and for what the compressor cannot obey,
// kUnsupported for an objective that it was not made for: found out before hours are spent.
void check_options(const TrainerOptions& options, const Compressor& compressor);

// Of a step, from 1: a linear warm-up, then a cosine.
double learning_rate(const TrainerOptions& options, int64_t step);

// What a checkpoint has to agree with, so that going on gives the losses of a run that was never
// interrupted, as JSON. The compressor as it is before its first step.
std::string describe_run(const TrainerOptions& options,
                         const Compressor& compressor,
                         const Decoder& decoder,
                         const TrainingData& data);

}  // namespace precis
