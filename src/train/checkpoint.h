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
  int64_t step = 0;                                                  // steps taken
  std::string recipe;                                                // describe_run(), JSON
  double best_validation = std::numeric_limits<double>::infinity();  // lowest loss so far
};

// Writes checkpoint.safetensors into `directory`: parameters, AdamW's moments and the state. The
// file is replaced atomically, so that a run may be killed at any moment.
void save_checkpoint(const std::filesystem::path& directory,
                     const CheckpointState& state,
                     Compressor& compressor,
                     torch::optim::AdamW& optimizer);

// Restores parameters and moments in place and returns the state. Where there is no checkpoint,
// nothing changes and the state is that of step 0. Throws kInvalidArgument if the checkpoint was
// made with another recipe, kBadWeights if it is damaged.
CheckpointState load_checkpoint(const std::filesystem::path& directory,
                                const std::string& recipe,
                                Compressor& compressor,
                                torch::optim::AdamW& optimizer);

}  // namespace precis
