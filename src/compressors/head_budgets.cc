// SPDX-License-Identifier: Apache-2.0
#include "compressors/head_budgets.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace precis {

at::Tensor head_budgets(const at::Tensor& scores, int64_t mean) {
  const int64_t n = scores.size(2), num_heads = scores.size(0) * scores.size(1);
  const auto share = [&](double of) { return std::llround(of * static_cast<double>(mean)); };
  const int64_t least = std::clamp<int64_t>(share(kLeastShare), 1, n);
  const int64_t most = std::clamp<int64_t>(share(kMostShare), least, n);
  // Of each head's scores in descending order the first `least` are taken and those after `most`
  // are not. The others, of all heads, compete for the rest.
  const at::Tensor sorted = std::get<0>(scores.cpu().flatten(0, 1).sort(1, /*descending=*/true));
  const at::Tensor open = sorted.narrow(1, least, most - least).flatten();
  const at::Tensor order = std::get<1>(open.sort(/*stable=*/true, 0, /*descending=*/true));
  const at::Tensor taken = order.narrow(0, 0, num_heads * (mean - least));
  const at::Tensor heads = taken.floor_divide(std::max<int64_t>(1, most - least));
  const at::Tensor counts = at::bincount(heads, {}, num_heads) + least;
  return counts.view({scores.size(0), scores.size(1)});
}

at::Tensor head_lengths(const at::Tensor& scores,
                        const SelectionRequest& request,
                        const DecoderConfig& config) {
  if (std::ranges::find(config.windowed, true) != config.windowed.end())
    return at::full({config.num_layers, config.num_kv_heads}, request.count, at::kLong);
  const int64_t candidates = std::ssize(request.ids) - request.num_kept;
  return head_budgets(scores.narrow(2, request.num_kept, candidates),
                      request.count - request.num_kept) +
         request.num_kept;
}

}  // namespace precis
