// SPDX-License-Identifier: Apache-2.0
#include "ops/sample.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/copy_to_device.h"
#include "ops/kernel_arguments.h"

namespace precis::ops {
namespace {

constexpr double kHeaviest = 2147483648.0;  // weight of the largest logit

// The temperature as a float above 0.
float divisor(double temperature) { return std::max(static_cast<float>(temperature), FLT_MIN); }

// The least weight that reaches top_p of the total.
uint64_t wanted_share(double top_p, uint64_t total) {
  return std::max<uint64_t>(1,
                            static_cast<uint64_t>(std::ceil(top_p * static_cast<double>(total))));
}

uint64_t lightest(double min_p) { return static_cast<uint64_t>(std::ceil(min_p * kHeaviest)); }

// Maps a random number to 0 .. total - 1.
uint64_t place_in(uint64_t total, uint64_t random) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(random) * total >> 64);
}

struct Candidate {
  float logit;
  int64_t index;
  uint64_t weight;

  bool before(const Candidate& other) const {
    return logit != other.logit ? logit > other.logit : index < other.index;
  }
};
bool comes_before(const Candidate& a, const Candidate& b) { return a.before(b); }

using Candidates = std::vector<Candidate>;

// Candidates with a weight above 0, indices ascending.
Candidates candidates_of(const float* logits, int64_t count, float largest, float temperature) {
  // Logits further than this below the largest have weight 0.
  const float lowest = largest - 23 * temperature;
  Candidates candidates;
  for (int64_t i = 0; i < count; ++i) {
    if (logits[i] < lowest) continue;
    const float weight = std::rint(std::exp((logits[i] - largest) / temperature) * 0x1p31f);
    if (weight > 0) candidates.push_back({logits[i], i, static_cast<uint64_t>(weight)});
  }
  return candidates;
}

uint64_t total_weight(Candidates::const_iterator begin, Candidates::const_iterator end) {
  uint64_t total = 0;
  for (; begin != end; ++begin) total += begin->weight;
  return total;
}

// Keeps the best candidates that together reach `wanted`, by bisection with std::nth_element.
void keep_share(Candidates& best, uint64_t wanted) {
  auto begin = best.begin(), end = best.end();
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, comes_before);
    const uint64_t upper = total_weight(begin, middle);
    if (upper >= wanted) {
      end = middle;
    } else {
      wanted -= upper;
      begin = middle;
    }
  }
  best.erase(end, best.end());
}

// Applies top-k and top-p; indices stay ascending.
Candidates best_of(Candidates best, const SamplingOptions& options) {
  const bool too_many = options.top_k > 0 && options.top_k < std::ssize(best);
  if (too_many) {
    std::nth_element(best.begin(), best.begin() + options.top_k, best.end(), comes_before);
    best.erase(best.begin() + options.top_k, best.end());
  }
  if (options.top_p < 1)
    keep_share(best, wanted_share(options.top_p, total_weight(best.begin(), best.end())));
  if (too_many || options.top_p < 1) {
    std::sort(best.begin(), best.end(), [](const Candidate& a, const Candidate& b) {
      return a.index < b.index;
    });
  }
  return best;
}

int64_t draw(Candidates candidates, const SamplingOptions& options, uint64_t random) {
  Candidates kept = best_of(std::move(candidates), options);
  std::erase_if(kept, [least = lightest(options.min_p)](const Candidate& candidate) {
    return candidate.weight < least;
  });
  const uint64_t place = place_in(total_weight(kept.begin(), kept.end()), random);
  uint64_t upto = 0;
  const auto chosen = std::find_if(kept.begin(), kept.end(), [&](const Candidate& candidate) {
    return (upto += candidate.weight) > place;
  });
  return chosen->index;
}

std::optional<int64_t> on_cpu(const at::Tensor& logits,
                              const SamplingOptions& options,
                              uint64_t random) {
  const auto [least, most] = at::aminmax(logits);  // NaN if a logit is NaN
  const float smallest = least.item<float>(), largest = most.item<float>();
  if (!std::isfinite(smallest) || !std::isfinite(largest)) return std::nullopt;
  const float* data = logits.const_data_ptr<float>();
  const int64_t count = logits.numel();
  if (options.temperature == 0) return std::find(data, data + count, largest) - data;
  return draw(candidates_of(data, count, largest, divisor(options.temperature)), options, random);
}

using Indices = std::vector<std::optional<int64_t>>;

Indices by_gpu_kernel(const at::Tensor& logits,
                      const SamplingOptions& options,
                      std::span<const uint64_t> random) {
  const auto index = logits.options().dtype(at::kLong);
  const at::Tensor bits = at::empty({logits.size(0)}, at::kLong);
  std::copy(random.begin(), random.end(), static_cast<uint64_t*>(bits.mutable_data_ptr()));
  const at::Tensor own = copy_to_device_async(bits, logits.device());
  const at::Tensor ids = at::empty({logits.size(0)}, index);
  const kernels::SampleArguments arguments{
      logits.const_data_ptr<float>(),
      logits.size(1),
      options.temperature == 0 ? 0 : divisor(options.temperature),
      options.top_k,
      options.top_p,
      options.min_p,
      static_cast<const uint64_t*>(own.const_data_ptr()),
      ids.mutable_data_ptr<int64_t>()};
  on_gpu(logits, "sample", [&](const kernels::CudaKernelTable& gpu, kernels::Stream stream) {
    gpu.sample(arguments, logits.size(0), stream);
  });
  const at::Tensor chosen = ids.cpu();  // waits
  Indices indices;
  for (const int64_t id : std::span(chosen.const_data_ptr<int64_t>(), random.size()))
    indices.push_back(id < 0 ? std::nullopt : std::optional(id));
  return indices;
}

}  // namespace

std::optional<int64_t> reference::sample(const at::Tensor& logits,
                                         const SamplingOptions& options,
                                         uint64_t random) {
  if (!logits.isfinite().all().item<bool>()) return std::nullopt;
  const auto [sorted, order] = logits.sort(/*stable=*/true, 0, /*descending=*/true);
  if (options.temperature == 0) return order[0].item<int64_t>();
  const at::Tensor relative = (sorted - sorted[0]) / divisor(options.temperature);
  const at::Tensor weights = (relative.exp() * kHeaviest).round().to(at::kLong);
  int64_t kept = weights.size(0);
  if (options.top_k > 0) kept = std::min(kept, options.top_k);
  const at::Tensor upto = weights.narrow(0, 0, kept).cumsum(0);
  const auto total = static_cast<uint64_t>(upto[-1].item<int64_t>());
  const auto wanted = static_cast<int64_t>(wanted_share(options.top_p, total));
  kept = std::min(kept, upto.lt(wanted).sum().item<int64_t>() + 1);
  const auto least = static_cast<int64_t>(lightest(options.min_p));
  kept = std::min(kept, weights.ge(least).sum().item<int64_t>());
  const auto [ids, places] = order.narrow(0, 0, kept).sort();
  const at::Tensor ends = weights.narrow(0, 0, kept).index_select(0, places).cumsum(0);
  const auto place = place_in(static_cast<uint64_t>(ends[-1].item<int64_t>()), random);
  return ids[ends.le(static_cast<int64_t>(place)).sum()].item<int64_t>();
}

Indices sample(const at::Tensor& logits,
               const SamplingOptions& options,
               std::span<const uint64_t> random) {
  PRECIS_CHECK(logits.dim() == 2 && logits.size(1) > 0 && logits.scalar_type() == at::kFloat &&
                   logits.size(0) == std::ssize(random),
               kInvalidArgument,
               "sample: expected float32 logits [",
               random.size(),
               ", n], got ",
               at::toString(logits.scalar_type()),
               " ",
               logits.sizes());
  const at::Tensor own = logits.contiguous();
  if (own.size(0) > 0 && gpu_kernel_applies(own)) return by_gpu_kernel(own, options, random);
  Indices indices;
  for (int64_t row = 0; row < own.size(0); ++row)
    indices.push_back(own.is_cpu() ? on_cpu(own[row], options, random[row])
                                   : reference::sample(own[row], options, random[row]));
  return indices;
}

}  // namespace precis::ops
