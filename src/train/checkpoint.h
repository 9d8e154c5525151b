// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/optim/adamw.h>

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

#include "precis/extend/compressor.h"

namespace precis {

struct CheckpointState {
  int64_t step = 0;    // steps that are done
  std::string recipe;  // the options of the run, as JSON
  double best_validation = std::numeric_limits<double>::infinity();  // loss, so far
};

// Writes checkpoint.safetensors into `directory`: parameters, AdamW's moments and the state. One
// file, which appears whole or not at all, so that a run may be killed at any moment.
void save_checkpoint(const std::filesystem::path& directory,
                     const CheckpointState& state,
                     Compressor& compressor,
                     torch::optim::AdamW& optimizer);

// Restores parameters and moments in place and returns the state; that of no step, with nothing
// changed, where there is no checkpoint. Throws kInvalidArgument if it was made with another
// recipe, kBadWeights if it is damaged.
CheckpointState load_checkpoint(const std::filesystem::path& directory,
                                const std::string& recipe,
                                Compressor& compressor,
                                torch::optim::AdamW& optimizer);

}  // namespace precis
