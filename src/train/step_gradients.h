// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "train/step_sampler.h"

namespace precis {

// Both accumulate the gradient of a step's mean loss into the compressor's parameters and return
// that loss. The batch is read in `num_passes` passes, which bounds memory and changes results by
// rounding only. REQUIRES: num_passes divides the number of examples.

// In nats per predicted token. A batch may predict fewer tokens than its examples have targets: see
// PredictedBatch.
double add_prediction_gradients(const Decoder& decoder,
                                Compressor& compressor,
                                const StepBatch& batch,
                                int64_t num_passes);

// In units of `variance`, that of the vocabulary's embeddings: a memory that is the mean embedding
// whatever the text has a loss of 1.
double add_embedding_gradients(const Decoder& decoder,
                               const Compressor& compressor,
                               const StepBatch& batch,
                               int64_t num_passes,
                               double variance);

}  // namespace precis
