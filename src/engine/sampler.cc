// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "ops/sample.h"
#include "text/utf8.h"

namespace precis {
namespace {

constexpr std::string_view kNotFinite =
    "generation: the model's logits are not finite; its weights or a memory in the prompt are "
    "damaged";
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr double kMaxPenalty = 1000.0;
constexpr double kMaxTemperature = 1e6;  // what is suppressed is still never drawn

at::Tensor ids_below(int64_t count, const std::unordered_set<TokenId>& ids) {
  std::vector<TokenId> below;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(below), [&](TokenId id) {
    return id >= 0 && id < count;
  });
  return at::tensor(below, at::kLong);
}

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
  demand(options.temperature >= 0 && options.temperature <= kMaxTemperature,
         "temperature",
         options.temperature,
         concat("0 to ", kMaxTemperature));
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
  const int64_t count = std::min(num_ids_, logits.size(0));
  const bool changed = options_.repetition_penalty != 1.0 || !suppressed_.empty();
  const at::Tensor values = logits.narrow(0, 0, count).to(at::kFloat, false, /*copy=*/changed);
  // Before numbers are put over those of the model.
  PRECIS_CHECK(!changed || values.isfinite().all().item<bool>(), kBadWeights, kNotFinite);
  if (options_.repetition_penalty != 1.0) penalize(values);
  if (!suppressed_.empty()) suppress(values);
  const ops::SamplingOptions options{
      options_.temperature, options_.top_k, options_.top_p, options_.min_p};
  const uint64_t random = options_.temperature == 0 ? 0 : random_();
  const std::optional<TokenId> chosen = ops::sample(values, options, random);
  PRECIS_CHECK(chosen.has_value(), kBadWeights, kNotFinite);
  if (options_.repetition_penalty != 1.0) seen_.insert(*chosen);
  return *chosen;
}

void Sampler::penalize(const at::Tensor& values) const {
  const at::Tensor ids = ids_below(values.size(0), seen_).to(values.device());
  const at::Tensor own = values.index_select(0, ids);
  const double penalty = options_.repetition_penalty;
  values.index_copy_(
      0, ids, at::where(own > 0, own / penalty, own * penalty).clamp(-kLargest, kLargest));
}

// Finite, and too far below all others to be drawn at any temperature that is allowed.
void Sampler::suppress(const at::Tensor& values) const {
  const at::Tensor ids = ids_below(values.size(0), suppressed_);
  PRECIS_CHECK(ids.size(0) < values.size(0),
               kInvalidArgument,
               "generation options: suppressed_ids leave nothing to draw");
  values.index_fill_(0, ids.to(values.device()), -kLargest);
}

}  // namespace precis
