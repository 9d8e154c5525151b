// SPDX-License-Identifier: Apache-2.0
#include "train/step_sampler.h"

#include <algorithm>
#include <random>

namespace precis {

int64_t StepBatch::num_tokens() const {
  int64_t sum = 0;
  for (const TrainingExample& example : examples) {
    sum += std::ssize(example.segment.tokens) + std::ssize(example.prompt) +
           std::ssize(example.targets);
  }
  return sum;
}

StepSampler::StepSampler(const TokenDataset& dataset,
                         const TrainerOptions& options,
                         int64_t max_segment)
    : options_(options), sampler_(dataset, options.examples), max_segment_(max_segment) {}

StepBatch StepSampler::draw(int64_t step) const {
  StepBatch batch;
  batch.options = draw_options(step);
  const StepLengths lengths = sampler_.lengths(step);
  for (int64_t i = 0; i < options_.batch; ++i) {
    const uint64_t index = static_cast<uint64_t>(step) * options_.batch + i;
    batch.examples.push_back(sampler_.draw(index, lengths));
    batch.examples.back().segment.recompute_activations = options_.recompute;
  }
  return batch;
}

std::vector<StepBatch> StepSampler::longest(std::span<const TrainingExample> more) const {
  std::vector<TrainingExample> examples = sampler_.longest();
  examples.insert(examples.end(), more.begin(), more.end());
  CompressOptions options;
  if (!options_.ratios.empty()) options.ratio = std::ranges::min(options_.ratios);
  std::vector<StepBatch> batches;
  for (const TrainingExample& example : examples) {
    batches.push_back({{example}, options});
    if (options_.chained_share == 0) continue;
    CompressOptions chained = options;
    chained.chaining = Chaining::kConcat;
    chained.segment = chain_segment(std::ssize(example.segment.tokens));
    batches.push_back({{example}, chained});
  }
  return batches;
}

CompressOptions StepSampler::draw_options(int64_t step) const {
  std::mt19937_64 random(options_.examples.seed * 0x9e3779b97f4a7c15u +
                         static_cast<uint64_t>(step));
  CompressOptions drawn;
  if (!options_.ratios.empty()) drawn.ratio = options_.ratios[random() % options_.ratios.size()];
  if (static_cast<double>(random() >> 11) * 0x1.0p-53 >= options_.chained_share) return drawn;
  drawn.chaining = random() % 2 == 0 ? Chaining::kConcat : Chaining::kRecursive;
  drawn.segment = chain_segment(sampler_.lengths(step).older);
  return drawn;
}

// Half of the text, so that there is a chain.
int64_t StepSampler::chain_segment(int64_t num_tokens) const {
  return std::max<int64_t>(1, std::min(max_segment_, num_tokens / 2));
}

}  // namespace precis
