// SPDX-License-Identifier: Apache-2.0
#include "train/validation.h"

#include <c10/core/GradMode.h>

#include <algorithm>

#include "train/example_sampler.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

// The seed of all runs, so that their losses compare.
ExampleOptions validation_examples(ExampleOptions options) {
  options.seed = 0;
  options.objectives.continuation += options.objectives.distil;
  options.objectives.distil = 0;
  return options;
}

}  // namespace

Validation::Validation(const TokenDataset& data, const TrainerOptions& options)
    : options_(options) {
  const ExampleSampler sampler(data, validation_examples(options.examples));
  const int64_t longest = options.examples.lengths.max_older;
  for (int64_t i = 0; i < options.validation_examples; ++i)
    examples_.push_back(sampler.draw(i, {longest, sampler.lengths(i).kept}));
}

double Validation::loss(const Decoder& decoder, const Compressor& compressor) const {
  const c10::NoGradGuard no_grad;
  if (options_.ratios.empty()) return loss_at(decoder, compressor, {});
  double loss = 0;
  for (const double ratio : options_.ratios) {
    CompressOptions compress;
    compress.ratio = ratio;
    loss += loss_at(decoder, compressor, compress) / static_cast<double>(options_.ratios.size());
  }
  return loss;
}

double Validation::loss_at(const Decoder& decoder,
                           const Compressor& compressor,
                           const CompressOptions& compress) const {
  const size_t size = options_.batch / options_.accumulate;
  double sum = 0, count = 0;
  for (size_t first = 0; first < examples_.size(); first += size) {
    const auto pass = examples().subspan(first, std::min(size, examples_.size() - first));
    const PredictedBatch batch = predict(decoder, compressor, pass, compress);
    const auto tokens = static_cast<double>(batch.targets.size(0));
    sum += tokens * cross_entropy(decoder, batch, /*backward=*/false);
    count += tokens;
  }
  return sum / count;
}

}  // namespace precis
