// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "cli/new_compressor.h"
#include "train/trainer.h"

namespace precis::cli {

// The flags of `precis train`.
struct TrainFlags {
  ModelOptions model;
  NewCompressor fresh;
  TrainerOptions trainer;
  std::optional<int64_t> accumulate;  // none: passes_for()
  std::vector<std::string> objectives{"continue"};
  bool chat = false;
  double minutes = std::numeric_limits<double>::infinity();
  std::filesystem::path data, validation, out, start, cache, recipe;
};

void add_train_flags(CLI::App& command, TrainFlags& flags);

// Flags that name files or machines, which a recipe leaves out.
const std::vector<std::string>& flags_not_in_recipe();

// Throws kUnsupported for quantised weights, kInvalidArgument for flags that contradict each other
// or an unknown objective.
void check(const TrainFlags& flags);

// The trainer's options with what other flags say and defaults that depend on them.
TrainerOptions trainer_options(const TrainFlags& flags);

}  // namespace precis::cli
