// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <span>
#include <vector>

#include "ops/sample.h"

namespace precis {

// Logits of `count` ids, rounded to multiples of 0.25, so that many are equal.
inline at::Tensor logits_with_ties(int64_t count) {
  return (at::randn({count}, at::kFloat) * 12).round() / 4;
}

// Samples from one row of logits, [n].
inline std::optional<int64_t> sample_row(const at::Tensor& logits,
                                         const ops::SamplingOptions& options,
                                         uint64_t random) {
  return ops::sample(logits.unsqueeze(0), options, std::span(&random, 1))[0];
}

// Every filter on its own and all together.
inline std::vector<ops::SamplingOptions> sampling_cases() {
  return {{0, 0, 1, 0},
          {1, 0, 1, 0},
          {0.7, 1, 1, 0},
          {0.7, 5, 1, 0},
          {2.5, 40, 1, 0},
          {1, 100000, 1, 0},
          {1, 0, 1e-9, 0},
          {1, 0, 0.5, 0},
          {1.3, 0, 0.95, 0},
          {1, 0, 1, 0.05},
          {1, 0, 1, 1},
          {0.9, 30, 0.8, 0.02},
          {1e-40, 3, 0.9, 0},
          {1e6, 7, 0.5, 0.5}};
}

}  // namespace precis
