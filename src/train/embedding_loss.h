// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "train/language_model_loss.h"

namespace precis {

// A first objective that needs no pass of the decoder over the memory: memory embedding i of n is
// to be the embedding of the token in the middle of the i-th n-th of the text. Texts are cut to the
// compressor's max_segment. Returns the mean squared distance. With `backward`, gradients are
// accumulated into the compressor's parameters, multiplied by `scale`. Throws as compress() does.
// REQUIRES: a compressor that makes SoftTokens.
double embedding_loss(const Decoder& decoder,
                      const Compressor& compressor,
                      std::span<const TrainingExample> examples,
                      const CompressOptions& options,
                      bool backward,
                      double scale = 1.0);

// The mean squared distance of the vocabulary's embeddings from their mean: the loss of a memory
// that is this mean.
double embedding_variance(const Decoder& decoder);

}  // namespace precis
