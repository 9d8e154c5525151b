// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/example_sampler.h"
#include "train/trainer.h"

namespace precis {

// What one optimiser step trains on.
struct StepBatch {
  std::vector<TrainingExample> examples;
  CompressOptions options;  // ratio and chaining of the step

  int64_t num_tokens() const;  // context, kept and target tokens of all examples
};

// Draws the batch of each step. The same seed and step give the same batch, whatever was drawn
// before. Borrows dataset and options.
class StepSampler {
 public:
  // max_segment: CompressorInfo's. Throws as ExampleSampler does.
  StepSampler(const TokenDataset& dataset, const TrainerOptions& options, int64_t max_segment);

  StepBatch draw(int64_t step) const;  // step: from 1

  // Batches of one example each, among them the longest that draw() can give and `more`: if the
  // model's context holds these, it holds every step.
  std::vector<StepBatch> longest(std::span<const TrainingExample> more) const;

 private:
  CompressOptions draw_options(int64_t step) const;
  int64_t chain_segment(int64_t num_tokens) const;

  const TrainerOptions& options_;
  ExampleSampler sampler_;
  int64_t max_segment_;
};

}  // namespace precis
