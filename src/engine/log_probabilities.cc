// SPDX-License-Identifier: Apache-2.0
#include "engine/log_probabilities.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace precis {

void add_log_probabilities(const at::Tensor& logits, int64_t count, GeneratedToken& token) {
  const at::Tensor all = logits.to(at::kCPU, at::kFloat).log_softmax(0);
  token.log_probability = all[*token.id].item<float>();
  const auto [values, ids] = all.topk(std::min(count, all.size(0)));
  for (int64_t i = 0; i < values.size(0); ++i)
    token.alternatives.push_back({ids[i].item<int64_t>(), values[i].item<float>()});
}

}  // namespace precis
