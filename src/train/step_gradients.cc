// SPDX-License-Identifier: Apache-2.0
#include "train/step_gradients.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <span>
#include <vector>

#include "train/embedding_loss.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

using Examples = std::span<const TrainingExample>;

std::vector<Examples> passes_of(const StepBatch& batch, int64_t num_passes) {
  const int64_t size = std::ssize(batch.examples) / num_passes;
  std::vector<Examples> passes;
  for (int64_t i = 0; i < num_passes; ++i)
    passes.push_back(Examples(batch.examples).subspan(i * size, size));
  return passes;
}

double num_targets(Examples examples) {
  double sum = 0;
  for (const TrainingExample& example : examples)
    sum += static_cast<double>(example.targets.size());
  return sum;
}

void scale_gradients(Compressor& compressor, double factor) {
  for (NamedTensor& named : compressor.parameters())
    if (named.tensor.grad().defined()) named.tensor.mutable_grad().mul_(factor);
}

}  // namespace

// How many tokens are predicted is known once all passes are read, so gradients are scaled for all
// targets first.
double add_prediction_gradients(const Decoder& decoder,
                                Compressor& compressor,
                                const StepBatch& batch,
                                int64_t num_passes) {
  const double most = num_targets(batch.examples);
  double sum = 0, predicted = 0;
  for (const Examples examples : passes_of(batch, num_passes)) {
    const PredictedBatch pass = predict(decoder, compressor, examples, batch.options);
    const auto tokens = static_cast<double>(pass.targets.size(0));
    sum += tokens * cross_entropy(decoder, pass, /*backward=*/true, tokens / most);
    predicted += tokens;
  }
  if (predicted < most) scale_gradients(compressor, most / predicted);
  return sum / predicted;
}

double add_embedding_gradients(const Decoder& decoder,
                               const Compressor& compressor,
                               const StepBatch& batch,
                               int64_t num_passes,
                               double variance) {
  const double share = 1.0 / static_cast<double>(num_passes);
  const double scale = share / std::max(variance, 1e-12);
  double loss = 0;
  for (const Examples examples : passes_of(batch, num_passes)) {
    loss += scale *
            embedding_loss(decoder, compressor, examples, batch.options, /*backward=*/true, scale);
  }
  return loss;
}

}  // namespace precis
