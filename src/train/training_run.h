// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/optim/adamw.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "train/checkpoint.h"
#include "train/step_sampler.h"
#include "train/trainer.h"
#include "train/validation.h"

namespace precis {

// The state of a training run: optimiser, sampler, validation examples and what a checkpoint holds.
// While it lives, the compressor's parameters require gradients. Borrows all that it is given.
class TrainingRun {
 public:
  // REQUIRES: options that check_options() accepts. Throws as ExampleSampler does.
  TrainingRun(Compressor& compressor,
              const Decoder& decoder,
              const TrainingData& data,
              const TrainerOptions& options);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;
  ~TrainingRun();

  // Reads the longest examples that may be drawn, so that a context that is too short is found
  // before the first step. Throws kInvalidArgument then.
  void check_longest_examples() const;

  // Restores the checkpoint in `directory`, if there is one. Returns the number of steps taken.
  // Throws as load_checkpoint() does, and kBadWeights for a step after the last of this run.
  int64_t resume(const std::filesystem::path& directory);

  // Takes the step `number`, from 1. Throws kInvalidArgument if its loss or gradient is not finite.
  TrainingStep take_step(int64_t number);

  bool validates_after(int64_t step) const;
  // The validation loss. If it is the lowest so far, the compressor is saved in `best`.
  double validate(const std::filesystem::path& best);

  void save_checkpoint(const std::filesystem::path& directory, int64_t step);
  void save_compressor(const std::filesystem::path& directory) const;

 private:
  double add_gradients(const StepBatch& batch, int64_t number);

  Compressor& compressor_;
  const Decoder& decoder_;
  const TrainerOptions& options_;
  StepSampler sampler_;
  double embedding_variance_;  // 0 where there are no embedding steps
  std::optional<Validation> validation_;
  CheckpointState state_;
  std::vector<at::Tensor> parameters_;
  std::optional<torch::optim::AdamW> optimizer_;
};

}  // namespace precis
