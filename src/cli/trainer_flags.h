// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

#include "train/trainer.h"

namespace precis::cli {

// Flags of `precis train` that the trainer obeys. --accumulate is kept apart: where it is not
// given, passes_for() says what it is.
void add_trainer_flags(CLI::App& command,
                       TrainerOptions& trainer,
                       std::optional<int64_t>& accumulate);

// Passes that a batch is read in: one on a GPU; elsewhere as few as read at most four examples
// each, whose activations fit a laptop's memory.
int64_t passes_for(int64_t batch, bool on_gpu);

}  // namespace precis::cli
