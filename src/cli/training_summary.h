// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "train/trainer.h"

namespace precis::cli {

// The outcome of a training run.
struct TrainingOutcome {
  int64_t step = 0;                       // the last step taken
  std::optional<TrainingStep> last;       // none: all steps had been taken by earlier runs
  std::optional<TrainingStep> validated;  // the last step after which validation ran
  TrainerOptions options;                 // of the run, or of the stage that it ended in
  std::filesystem::path directory;        // with the compressor
  std::string name = "training";          // "stage 2 of 3"
  bool all_stages = true;                 // whether this is the last stage

  // Whether no step and no stage is left.
  bool finished() const { return all_stages && step >= options.last_step(); }
};

// For standard output: {"steps":...,"compressor":...,"finished":...} and losses, if there are any.
nlohmann::json in_json(const TrainingOutcome& outcome);

// For standard error: a line that says whether it is finished and how to resume, and one with
// losses.
std::string in_words(const TrainingOutcome& outcome);

}  // namespace precis::cli
