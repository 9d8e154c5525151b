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
  int64_t top_k = 0;       // number of logits to keep; 0: all
  double top_p = 1;        // keeps the fewest logits whose probabilities sum to it
  double min_p = 0;        // keeps logits with at least this fraction of the largest probability
};

// Samples an index from each row of logits, [rows, n] float32, n at least 1, on any device, with
// one random number a row. Of equal logits the one with the lower index comes first, also where
// only some of them are kept. Probabilities are integers, in units of 2^-31 of the largest one, so
// that sums do not depend on their order. They are consecutive intervals, indices ascending; the
// random number, uniform over 64 bits, selects one. nullopt for a row with a logit that is not
// finite.
std::vector<std::optional<int64_t>> sample(const at::Tensor& logits,
                                           const SamplingOptions& options,
                                           std::span<const uint64_t> random);

namespace reference {
// logits: one row, [n].
std::optional<int64_t> sample(const at::Tensor& logits,
                              const SamplingOptions& options,
                              uint64_t random);
}  // namespace reference

}  // namespace precis::ops
