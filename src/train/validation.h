// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "train/token_dataset.h"
#include "train/trainer.h"

namespace precis {

// Measures a compressor on held-out examples: the same each time, of the greatest lengths that the
// options allow. Distilled examples count as continuations, so that the losses of runs compare.
// Borrows the options.
class Validation {
 public:
  // Throws as ExampleSampler does.
  Validation(const TokenDataset& data, const TrainerOptions& options);

  std::span<const TrainingExample> examples() const { return examples_; }

  // Mean nats per predicted token, averaged over options.ratios. No gradients.
  double loss(const Decoder& decoder, const Compressor& compressor) const;

 private:
  double loss_at(const Decoder& decoder,
                 const Compressor& compressor,
                 const CompressOptions& compress) const;

  const TrainerOptions& options_;
  std::vector<TrainingExample> examples_;
};

}  // namespace precis
