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
  int64_t steps = 1000;    // length of the learning rate schedule
  int64_t stop_after = 0;  // last step of this run; 0: steps
  int64_t batch = 16;      // examples in a step
  int64_t accumulate = 1;  // gradient accumulation: passes that a batch is read in; divides batch
  bool recompute = false;  // see DecoderInput::recompute_activations
  ExampleOptions examples;
  int64_t embedding_steps = 0;  // first steps, whose loss is embedding_loss()
  std::vector<double> ratios;   // drawn for each step; empty: the compressor's own
  double chained_share = 0.0;   // share of steps with Chaining::kConcat or kRecursive, drawn evenly
  double learning_rate = 1e-3;  // after the warm-up; cosine decay to a tenth of it
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
  double loss = 0;           // mean nats per target token; in embedding steps see embedding_loss()
  double smoothed_loss = 0;  // running mean over steps, those before a resumption included
  double learning_rate = 0;
  double gradient_norm = 0;
  double seconds = 0;
  int64_t tokens = 0;                     // older, kept and target tokens read
  std::optional<double> validation_loss;  // mean nats per target token; none: not measured
};

struct TrainingData {
  const TokenDataset& train;
  const TokenDataset* validation = nullptr;  // null: none
};

// Throws kInvalidArgument if `directory` holds a compressor without a checkpoint, which training
// would overwrite, or if another process is training there. train() calls it; call it earlier to
// fail before long work.
void check_output_directory(const std::filesystem::path& directory);

// Called after every step; returning false ends the run with a checkpoint.
using TrainingCallback = std::function<bool(const TrainingStep&)>;

// Trains a compressor's parameters (AdamW, decoupled weight decay, clipped gradients) on the
// objectives of options.examples; the decoder is frozen. Writes into `directory`
// checkpoint.safetensors, from which a run with the same options resumes, log.jsonl, the
// compressor, and in best/ the compressor of the lowest validation loss so far. One run at a time
// trains in a directory. Throws kInvalidArgument for options out of range, options that the
// compressor does not support, a checkpoint of other options, a directory in use or a loss that is
// not finite (the last checkpoint stays); kUnsupported for an objective that the compressor was not
// made for.
void train(Compressor& compressor,
           const Decoder& decoder,
           const TrainingData& data,
           const TrainerOptions& options,
           const std::filesystem::path& directory,
           const TrainingCallback& on_step = {});

}  // namespace precis
