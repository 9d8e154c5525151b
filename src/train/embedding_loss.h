// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "train/language_model_loss.h"

namespace precis {

// A start that the frozen model can read, learnt without its reading the memory: each row becomes
// the embedding of the token in the middle of its share of the text. Of each text no more than the
// compressor reads at once.
// The mean squared distance. With `backward`, gradients are accumulated into the compressor's
// parameters, multiplied by `scale`. Throws as compress() does. REQUIRES: a compressor that makes
// SoftTokens.
double embedding_loss(const Decoder& decoder,
                      const Compressor& compressor,
                      std::span<const TrainingExample> examples,
                      const CompressOptions& options,
                      bool backward,
                      double scale = 1.0);

// The mean squared distance of the vocabulary's embeddings from their mean.
double embedding_variance(const Decoder& decoder);

}  // namespace precis
