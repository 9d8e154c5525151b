// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace precis::ops {

struct SamplingOptions {
  double temperature = 1;  // 0: always the largest logit
  int64_t top_k = 0;       // keeps so many; 0: all
  double top_p = 1;        // keeps the fewest that together reach it
  double min_p = 0;        // keeps those with at least so many times the best one's probability
};

// An index of each row of logits [rows, n] float32, n at least 1, on any device, by the row's
// random number. Of equal logits the lower index comes first: as the largest one, and where one of
// them is the last that is kept. Probabilities are whole numbers of 2^-31 of the largest one, so
// that sums depend on no order; they lie one after the other, indices ascending, and the random
// number, one of the 2^64 with equal chances, falls on one. Nothing for a row of which a logit is
// not finite.
std::vector<std::optional<int64_t>> sample(const at::Tensor& logits,
                                           const SamplingOptions& options,
                                           std::span<const uint64_t> random);

namespace reference {
// Of one row, [n].
std::optional<int64_t> sample(const at::Tensor& logits,
                              const SamplingOptions& options,
                              uint64_t random);
}  // namespace reference

}  // namespace precis::ops
