// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>

#include "train/trainer.h"

namespace precis::cli {

// The flags of `precis train` that are TrainerOptions. --accumulate is apart: its default is
// passes_for().
void add_trainer_flags(CLI::App& command,
                       TrainerOptions& trainer,
                       std::optional<int64_t>& accumulate);

// The default number of passes per batch: 1 on a GPU; else the fewest of at most four examples
// each, whose activations fit the memory of a laptop.
int64_t passes_for(int64_t batch, bool on_gpu);

}  // namespace precis::cli
