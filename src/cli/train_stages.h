// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/train_flags.h"

namespace precis::cli {

// One run of the trainer: its flags, and a command of its own that they belong to.
struct Stage {
  CLI::App command{"", "train"};
  TrainFlags flags;
  std::string name;       // for its progress bar
  nlohmann::json recipe;  // written into its directory
};

// The stages of the recipe, or the one stage without. `command`: that was parsed into `flags`. All
// are checked here, so that a mistake in the last one is found before the first runs. The last
// stage writes into --out, the others into directories below it; each starts from the compressor of
// the one before. Throws kInvalidArgument, kUnsupported or kNotFound.
std::vector<std::unique_ptr<Stage>> stages_of(const TrainFlags& flags, const CLI::App& command);

}  // namespace precis::cli
