// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <optional>
#include <random>
#include <span>
#include <unordered_set>
#include <vector>

#include "precis/extend/tokenizer.h"
#include "precis/options.h"

namespace precis {

// Throws kInvalidArgument, naming the option that is out of range.
void check_sampling(const GenerationOptions& options);

// Draws one id after the other, each by: repetition penalty, temperature, top-k, top-p, min-p, a
// random draw. The same seed draws the same ids. Ids from `num_ids` on and options.suppressed_ids
// are never drawn.
class Sampler {
 public:
  Sampler(const GenerationOptions& options, int64_t num_ids, std::span<const TokenId> prompt);

  // logits: [vocab] of any floating type. Throws kInvalidArgument if all ids are suppressed,
  // kBadWeights if a logit is not finite.
  TokenId sample(const at::Tensor& logits);

 private:
  friend std::vector<std::optional<TokenId>> sample(std::span<Sampler* const>, const at::Tensor&);

  // Weighs down what was seen. values: [num_ids] float32, changed.
  void penalize(const at::Tensor& values) const;
  // Puts away what must not be drawn. values: [rows, num_ids] float32, changed.
  void suppress(const at::Tensor& values);

  GenerationOptions options_;
  int64_t num_ids_;
  at::Tensor suppressed_;         // ids, where values were last
  int64_t suppressed_below_ = 0;  // which were so many
  std::unordered_set<TokenId> seen_;
  std::mt19937_64 random_;
};

// The next id of each answer by its own sampler, all of the same options and number of ids; a GPU
// is asked and waited for once. logits: [samplers, vocab] of any floating type. Nothing where a
// logit of the row is not finite. Throws kInvalidArgument if all ids are suppressed.
std::vector<std::optional<TokenId>> sample(std::span<Sampler* const> samplers,
                                           const at::Tensor& logits);

// The error of logits that are not finite.
std::exception_ptr not_finite();

}  // namespace precis
