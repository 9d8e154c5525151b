// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "train/trainer.h"

namespace precis {

// log.jsonl: a line for each step, of which a later run of the same training can go on.
class TrainingLog {
 public:
  explicit TrainingLog(std::filesystem::path path) : path_(std::move(path)) {}

  // Forgets the steps that a killed run logged after its last checkpoint: they are taken again.
  // Throws kInvalidArgument if the file is something else.
  void cut(int64_t steps_done);
  // Fills in the step's smoothed loss, too.
  void append(TrainingStep& step);

  // The losses over the steps as an SVG picture beside the log, named as it is.
  void plot() const;

 private:
  std::filesystem::path path_;
  std::optional<double> smoothed_;  // none: before the first step
};

}  // namespace precis
