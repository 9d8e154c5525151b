// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "train/trainer.h"

namespace precis::cli {

// What came of a training run.
struct TrainingOutcome {
  int64_t step = 0;                    // the last that is taken
  std::optional<TrainingStep> last;    // none: all steps had been taken before
  std::optional<TrainingStep> tested;  // the last that was validated
  TrainerOptions options;              // of the run, or of the stage that it ended in
  std::filesystem::path directory;     // with the compressor
  std::string name = "training";       // "stage 2 of 3"
  bool all_stages = true;              // no stage is left

  // Whether there is nothing left of what was asked for.
  bool finished() const { return all_stages && step >= options.last_step(); }
};

// On standard output: {"steps":...,"compressor":...,"finished":...} and losses, if there are any.
nlohmann::json in_json(const TrainingOutcome& outcome);

// Whether it is finished and how to go on; what its losses are. A line each, for people.
std::string in_words(const TrainingOutcome& outcome);

}  // namespace precis::cli
