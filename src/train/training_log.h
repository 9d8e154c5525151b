// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "train/trainer.h"

namespace precis {

// log.jsonl: a line for each step. A resumed run appends to it.
class TrainingLog {
 public:
  explicit TrainingLog(std::filesystem::path path) : path_(std::move(path)) {}

  // Removes the steps that a killed run logged after its last checkpoint, which are taken again.
  // Throws kInvalidArgument if the file is not a training log.
  void cut(int64_t steps_done);
  // Also sets step.smoothed_loss.
  void append(TrainingStep& step);

  // Writes the losses over the steps as an SVG chart beside the log: log.svg.
  void plot() const;

 private:
  std::filesystem::path path_;
  std::optional<double> smoothed_;  // none before the first step
};

}  // namespace precis
