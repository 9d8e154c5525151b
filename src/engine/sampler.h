// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>
#include <span>
#include <unordered_set>

#include "precis/options.h"
#include "precis/tokenizer.h"

namespace precis {

// Throws kInvalidArgument, naming the option that is out of range.
void check_sampling(const GenerationOptions& options);

// Draws one id after the other, each by: repetition penalty, temperature, top-k, top-p, min-p, a
// random draw. The same seed draws the same ids. Ids from `num_ids` on and options.suppressed_ids
// are never drawn.
class Sampler {
 public:
  Sampler(const GenerationOptions& options, int64_t num_ids, std::span<const TokenId> prompt);

  // logits: [vocab] of any floating type. Throws kInvalidArgument if all ids are suppressed.
  TokenId sample(const at::Tensor& logits);

 private:
  // Weigh down what was seen; put away what must not be drawn. values: [num_ids] float32, changed.
  void penalize(const at::Tensor& values) const;
  void suppress(const at::Tensor& values) const;

  GenerationOptions options_;
  int64_t num_ids_;
  std::unordered_set<TokenId> suppressed_;
  std::unordered_set<TokenId> seen_;
  std::mt19937_64 random_;
};

}  // namespace precis
