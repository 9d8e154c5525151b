// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "precis/compressor.h"
#include "precis/decoder.h"
#include "precis/segment.h"

namespace precis {

// What follows a segment and is to be predicted from its memory.
struct TrainingExample {
  Segment segment;
  std::vector<TokenId> targets;
};

// The batch as one graph: segments compressed, memories spliced before their targets, one pass of
// the decoder.
struct PredictedBatch {
  at::Tensor hidden;   // [n, hidden] final hidden states that predict
  at::Tensor targets;  // [n] int64
};
PredictedBatch predict(const Decoder& decoder,
                       const Compressor& compressor,
                       std::span<const TrainingExample> examples,
                       const CompressOptions& options);

// Mean cross entropy in nats. With `backward`, gradients are accumulated into the compressor's
// parameters, multiplied by `scale`; the logits only ever exist for a few rows at a time.
double cross_entropy(const Decoder& decoder,
                     const PredictedBatch& batch,
                     bool backward,
                     double scale = 1.0);

}  // namespace precis
