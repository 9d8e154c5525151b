// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "train/example_sampler.h"
#include "train/token_dataset.h"

namespace precis {

struct TrainerOptions {
  int64_t steps = 1000;    // that the learning rate's schedule goes over
  int64_t stop_after = 0;  // step that the run ends with; 0: the last
  int64_t batch = 16;      // examples in a step
  int64_t accumulate = 1;  // passes that a step's examples are read in; must divide batch
  bool recompute = false;  // activations anew in the backward pass: for large models
  ExampleOptions examples;
  int64_t embedding_steps = 0;  // first steps, in which rows learn to be embeddings instead
  std::vector<double> ratios;   // drawn anew for each step; empty: the compressor's own
  double chained_share = 0.0;  // share of steps that chain parts ("concat" and "recursive" in turn)
  double learning_rate = 1e-3;  // after the warm-up; falls along a cosine to a tenth of it
  int64_t warmup_steps = 50;
  double weight_decay = 0.0;
  double clip_norm = 1.0;
  int64_t checkpoint_every = 50;  // steps
  int64_t validate_every = 0;     // steps; 0: never
  int64_t validation_examples = 64;

  int64_t last_step() const { return stop_after > 0 ? stop_after : steps; }
};

struct TrainingStep {
  int64_t step = 0;          // from 1
  double loss = 0;           // mean nats per target token; in embedding steps variances
  double smoothed_loss = 0;  // running mean over steps, those before a resumed run's too
  double learning_rate = 0;
  double gradient_norm = 0;
  double seconds = 0;
  int64_t tokens = 0;                     // older, kept and target tokens read
  std::optional<double> validation_loss;  // mean nats per target token; where it was measured
};

struct TrainingData {
  const TokenDataset& train;
  const TokenDataset* validation = nullptr;  // null: there is none
};

// Throws kInvalidArgument if `directory` holds a compressor that no checkpoint belongs to, or if a
// run of another process is at work there: it is another's. train() asks too; to be asked before
// long work.
void check_output_directory(const std::filesystem::path& directory);

// Hears about every step; returning false stops after a checkpoint.
using TrainingCallback = std::function<bool(const TrainingStep&)>;

// Trains a compressor's parameters (AdamW, decoupled weight decay, clipped gradients) on the
// objectives of options.examples; the decoder is frozen. In `directory`: checkpoint.safetensors,
// from which a run with the same options goes on where it was, log.jsonl, the compressor itself,
// and in best/ the one with the lowest validation loss so far (validation examples are the same
// each time, and as long as can be). One run at a time: another is refused, naming the process of
// the first. Throws kInvalidArgument for options out of range, options that
// the compressor cannot obey, a checkpoint of other options or a loss that is not finite (the last
// checkpoint stays), kUnsupported for an objective that the compressor was not made for.
void train(Compressor& compressor,
           const Decoder& decoder,
           const TrainingData& data,
           const TrainerOptions& options,
           const std::filesystem::path& directory,
           const TrainingCallback& on_step = {});

}  // namespace precis
