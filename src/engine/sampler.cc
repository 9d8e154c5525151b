// SPDX-License-Identifier: Apache-2.0
#include "engine/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

#include "base/check.h"
#include "ops/copy_to_device.h"
#include "ops/sample.h"
#include "precis/error.h"
#include "tokenizers/utf8.h"

namespace precis {
namespace {

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr double kMaxPenalty = 1000.0;
constexpr double kMaxTemperature = 1e6;  // suppressed ids are still never drawn

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

Sampler::Sampler(const GenerationOptions& options,
                 int64_t vocab_size,
                 std::span<const TokenId> prompt)
    : options_(options), vocab_size_(vocab_size), random_(options.seed) {
  if (options.repetition_penalty != 1.0) seen_.insert(prompt.begin(), prompt.end());
}

TokenId Sampler::sample(const at::Tensor& logits) {
  Sampler* const self[] = {this};
  const Draw draw = precis::sample(self, logits.unsqueeze(0))[0];
  if (draw.error) std::rethrow_exception(draw.error);
  return draw.id;
}

bool Sampler::has_settings_of(const Sampler& other) const {
  const auto settings = [](const Sampler& sampler) {
    const GenerationOptions& o = sampler.options_;
    return std::tie(
        sampler.vocab_size_, o.temperature, o.top_k, o.top_p, o.min_p, o.suppressed_ids);
  };
  return settings(*this) == settings(other);
}

void Sampler::penalize(const at::Tensor& values) const {
  const at::Tensor ids =
      ops::copy_to_device_async(ids_below(values.size(0), seen_), values.device());
  const at::Tensor own = values.index_select(0, ids);
  const double penalty = options_.repetition_penalty;
  values.index_copy_(
      0, ids, at::where(own > 0, own / penalty, own * penalty).clamp(-kLargest, kLargest));
}

void Sampler::suppress(const at::Tensor& values) {
  const bool known = suppressed_.defined() && suppressed_.device() == values.device() &&
                     suppressed_below_ == values.size(1);
  if (!known) {
    const std::unordered_set<TokenId> ids(options_.suppressed_ids.begin(),
                                          options_.suppressed_ids.end());
    suppressed_ = ops::copy_to_device_async(ids_below(values.size(1), ids), values.device());
    suppressed_below_ = values.size(1);
  }
  PRECIS_CHECK(suppressed_.size(0) < values.size(1),
               kInvalidArgument,
               "generation options: suppressed_ids leave nothing to draw");
  // Finite, and too far below all others to be drawn at any temperature that is allowed.
  values.index_fill_(1, suppressed_, -kLargest);
}

std::vector<std::optional<TokenId>> Sampler::sample_group(std::span<Sampler* const> group,
                                                          const at::Tensor& logits) {
  const GenerationOptions& options = group.front()->options_;
  const int64_t count = std::min(group.front()->vocab_size_, logits.size(1));
  const auto is_penalized = [](const Sampler* own) {
    return own->options_.repetition_penalty != 1.0;
  };
  const bool changed = std::ranges::any_of(group, is_penalized) || !options.suppressed_ids.empty();
  const at::Tensor values = logits.narrow(1, 0, count).to(at::kFloat, false, /*copy=*/changed);
  // Changed values must not hide a logit that is not finite: 0 times such a one is NaN.
  const at::Tensor zeros = changed ? (values * 0).sum(1, /*keepdim=*/true) : at::Tensor();
  for (int64_t i = 0; i < std::ssize(group); ++i) {
    if (is_penalized(group[i])) group[i]->penalize(values[i]);
  }
  if (!options.suppressed_ids.empty()) group.front()->suppress(values);
  if (changed) values.add_(zeros);
  std::vector<uint64_t> random;
  for (Sampler* own : group) random.push_back(options.temperature == 0 ? 0 : own->random_());
  std::vector<std::optional<TokenId>> ids = ops::sample(
      values, {options.temperature, options.top_k, options.top_p, options.min_p}, random);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] && is_penalized(group[i])) group[i]->seen_.insert(*ids[i]);
  }
  return ids;
}

namespace {

using RowsOfLogits = std::vector<int64_t>;  // ascending

// Rows whose samplers have equal settings.
std::vector<RowsOfLogits> groups_of(std::span<Sampler* const> samplers) {
  std::vector<RowsOfLogits> groups;
  for (int64_t row = 0; row < std::ssize(samplers); ++row) {
    const auto equal = std::ranges::find_if(groups, [&](const RowsOfLogits& rows) {
      return samplers[rows.front()]->has_settings_of(*samplers[row]);
    });
    (equal != groups.end() ? *equal : groups.emplace_back()).push_back(row);
  }
  return groups;
}

at::Tensor select_rows(const at::Tensor& logits, const RowsOfLogits& rows) {
  if (std::ssize(rows) == logits.size(0)) return logits;
  return logits.index_select(
      0, ops::copy_to_device_async(at::tensor(rows, at::kLong), logits.device()));
}

std::exception_ptr not_finite() {
  return std::make_exception_ptr(
      Error(ErrorKind::kBadWeights,
            "generation: the model's logits are not finite; its weights or a memory in the prompt "
            "are damaged"));
}

}  // namespace

std::vector<Draw> sample(std::span<Sampler* const> samplers, const at::Tensor& logits) {
  std::vector<Draw> draws(samplers.size());
  for (const RowsOfLogits& rows : groups_of(samplers)) {
    std::vector<Sampler*> group;
    for (const int64_t row : rows) group.push_back(samplers[row]);
    try {
      const auto ids = Sampler::sample_group(group, select_rows(logits, rows));
      for (size_t i = 0; i < rows.size(); ++i)
        draws[rows[i]] = ids[i] ? Draw{*ids[i], nullptr} : Draw{-1, not_finite()};
    } catch (const Error&) {
      for (const int64_t row : rows) draws[row].error = std::current_exception();
    }
  }
  return draws;
}

}  // namespace precis
