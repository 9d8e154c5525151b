// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <torch/optim/adam.h>

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "precis/extend/decoder.h"
#include "refine/collect_samples.h"
#include "refine/refine_contexts.h"
#include "refine/refine_options.h"
#include "refine/refine_timer.h"
#include "refine/refined_tensors.h"

namespace precis {

// The steps of a refinement and the best memory so far. Borrows all that it is given.
class RefineSteps {
 public:
  // REQUIRES: gradients on, samples of both kinds, with teachers.
  RefineSteps(RefinedTensors& memory,
              const RefineSamples& samples,
              const ReadContexts& contexts,
              const Decoder& decoder,
              const RefineOptions& options,
              const RefineTimer& timer);

  // Takes steps until the time or max_steps ends them, or the held-out samples gain no more. Throws
  // kCancelled.
  void run();

  double given_loss() const { return given_loss_; }
  double best_loss() const { return best_loss_; }
  int64_t num_steps() const { return steps_; }
  // The changes of the best memory; none: no memory was better than the given one.
  const std::optional<std::vector<at::Tensor>>& best() const { return best_; }

 private:
  bool has_time() const;
  // False if the loss is not finite, so that the step was not taken.
  bool take_step();
  double held_out_loss();
  void check();
  std::vector<const RefineSample*> next_samples();
  double rate() const;

  RefinedTensors& memory_;
  const RefineSamples& samples_;
  const ReadContexts& contexts_;
  const Decoder& decoder_;
  const RefineOptions& options_;
  const RefineTimer& timer_;
  torch::optim::Adam optimizer_;
  std::mt19937_64 random_;
  std::vector<const RefineSample*> queue_;  // the rest of a shuffled round through the samples
  double start_;                            // of the first step, in seconds
  double step_seconds_ = 0;                 // that the longest step took
  double check_seconds_ = 0;
  int64_t steps_ = 0;
  int64_t checks_without_gain_ = 0;
  double given_loss_ = 0;
  double best_loss_ = 0;
  std::optional<std::vector<at::Tensor>> best_;
};

}  // namespace precis
