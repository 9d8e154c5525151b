// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "precis/compressor.h"
#include "precis/decoder.h"
#include "train/text_dataset.h"

namespace precis {

struct TrainerOptions {
  int64_t steps = 1000;
  int64_t batch = 16;  // examples in a step
  ExampleLengths lengths;
  std::vector<double> ratios;  // drawn anew for each step; empty: the compressor's own
  double chained_share = 0.0;  // share of steps that chain parts ("concat" and "recursive" in turn)
  // Share of examples whose text is to be said again rather than gone on with: ICAE's lambda
  // (paper: 0.4 to 0.6), 1 in IC-Former's pretraining. The others predict what follows.
  double autoencode_share = 0.0;
  std::optional<TokenId> end_id;  // ends a text that is said again; none: nothing does
  double learning_rate = 1e-3;    // after the warm-up; falls along a cosine to a tenth of it
  int64_t warmup_steps = 50;
  double weight_decay = 0.0;
  double clip_norm = 1.0;
  uint64_t seed = 1;
  int64_t checkpoint_every = 50;  // steps
};

struct TrainingStep {
  int64_t step = 0;  // from 1
  double loss = 0;   // mean nats per target token
  double learning_rate = 0;
  double gradient_norm = 0;
  double seconds = 0;
  int64_t tokens = 0;  // older and target tokens read
};

// Hears about every step; returning false stops after a checkpoint.
using TrainingCallback = std::function<bool(const TrainingStep&)>;

// Trains a compressor's parameters (AdamW, decoupled weight decay, clipped gradients) on predicting
// from a text's memory what follows it, or the text itself; the decoder is frozen. In `directory`:
// checkpoint.safetensors, from which a run with the same options goes on where it was, log.jsonl,
// and the compressor itself. Throws kInvalidArgument for options out of range, options that the
// compressor cannot obey or a checkpoint of other options, kUnsupported for saying texts again with
// a compressor that does not, kInternal if the loss is not finite.
void train(Compressor& compressor,
           const Decoder& decoder,
           const TextDataset& dataset,
           const TrainerOptions& options,
           const std::filesystem::path& directory,
           const TrainingCallback& on_step = {});

}  // namespace precis
