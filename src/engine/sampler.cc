// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "text/utf8.h"

namespace precis {
namespace {

constexpr double kMaxPenalty = 1000.0;  // logits stay finite

}  // namespace

void check_sampling(const GenerationOptions& options) {
  const auto demand = [](bool good, const char* name, auto value, std::string_view expected) {
    PRECIS_CHECK(good,
                 kInvalidArgument,
                 "generation options: ",
                 name,
                 " is ",
                 value,
                 ", expected ",
                 expected);
  };
  demand(options.max_tokens >= 1, "max_tokens", options.max_tokens, "at least 1");
  demand(options.temperature >= 0 && std::isfinite(options.temperature),
         "temperature",
         options.temperature,
         "at least 0");
  demand(options.top_k >= 0, "top_k", options.top_k, "at least 0");
  demand(options.top_p > 0 && options.top_p <= 1, "top_p", options.top_p, "above 0, at most 1");
  demand(options.min_p >= 0 && options.min_p <= 1, "min_p", options.min_p, "0 to 1");
  demand(options.repetition_penalty >= 1 / kMaxPenalty && options.repetition_penalty <= kMaxPenalty,
         "repetition_penalty",
         options.repetition_penalty,
         concat(1 / kMaxPenalty, " to ", kMaxPenalty));
  for (const std::string& stop : options.stop) {
    demand(!stop.empty() && is_utf8(stop), "a stop string", concat('"', stop, '"'), "UTF-8 text");
  }
  demand(options.context_limit >= 0, "context_limit", options.context_limit, "at least 0");
}

Sampler::Sampler(const GenerationOptions& options, int64_t num_ids, std::span<const TokenId> prompt)
    : options_(options),
      num_ids_(num_ids),
      suppressed_(options.suppressed_ids.begin(), options.suppressed_ids.end()),
      random_(options.seed) {
  if (options.repetition_penalty != 1.0) seen_.insert(prompt.begin(), prompt.end());
}

TokenId Sampler::sample(const at::Tensor& logits) {
  const at::Tensor values = logits.to(at::kFloat).cpu().contiguous();
  const float* data = values.const_data_ptr<float>();
  const int64_t count = std::min(num_ids_, values.size(0));
  std::vector<Candidate> candidates(count);
  bool finite = true;
  for (int64_t id = 0; id < count; ++id) {
    candidates[id] = {id, data[id]};
    finite &= std::isfinite(data[id]);
  }
  PRECIS_CHECK(
      finite,
      kBadWeights,
      "generation: the model's logits are not finite; its weights or a memory in the prompt "
      "are damaged");
  const auto penalty = static_cast<float>(options_.repetition_penalty);
  for (const TokenId id : seen_) {
    if (id >= count) continue;
    float& value = candidates[id].value;
    value = value > 0 ? value / penalty : value * penalty;
  }
  std::erase_if(candidates,
                [&](const Candidate& candidate) { return suppressed_.contains(candidate.id); });
  PRECIS_CHECK(!candidates.empty(),
               kInvalidArgument,
               "generation options: suppressed_ids leave nothing to draw");
  const TokenId chosen = draw(candidates);
  if (options_.repetition_penalty != 1.0) seen_.insert(chosen);
  return chosen;
}

TokenId Sampler::draw(std::vector<Candidate>& candidates) {
  const auto larger = [](const Candidate& a, const Candidate& b) { return a.value > b.value; };
  const auto best = std::min_element(candidates.begin(), candidates.end(), larger);
  if (options_.temperature == 0) return best->id;
  const float largest = best->value;
  if (options_.top_k > 0 && options_.top_k < std::ssize(candidates)) {
    std::nth_element(
        candidates.begin(), candidates.begin() + options_.top_k, candidates.end(), larger);
    candidates.resize(options_.top_k);
  }
  double total = 0;
  for (Candidate& candidate : candidates) {
    candidate.value =
        static_cast<float>(std::exp((candidate.value - largest) / options_.temperature));
    total += candidate.value;
  }
  std::sort(candidates.begin(), candidates.end(), larger);
  // top-p keeps the fewest that together reach p; min-p those with at least min_p times the best
  // one's probability.
  double kept = 0;
  size_t size = 0;
  while (size < candidates.size() &&
         (size == 0 || (kept < options_.top_p * total &&
                        candidates[size].value >= options_.min_p * candidates[0].value))) {
    kept += candidates[size++].value;
  }
  double left = uniform() * kept;
  for (size_t i = 0; i + 1 < size; ++i) {
    left -= candidates[i].value;
    if (left < 0) return candidates[i].id;
  }
  return candidates[size - 1].id;
}

// In [0, 1), the same on every platform, which std::uniform_real_distribution is not.
double Sampler::uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

}  // namespace precis
