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

#include "precis/options.h"
#include "precis/token.h"

namespace precis {

// Throws kInvalidArgument, naming the option that is out of range.
void check_sampling(const GenerationOptions& options);

// The token that a sampler drew, or the precis::Error why it drew none.
struct Draw {
  TokenId id = -1;
  std::exception_ptr error = nullptr;
};

// Draws the tokens of one sequence, each by repetition penalty, temperature, top-k, top-p, min-p
// and a random draw, in this order. The same seed draws the same ids. Never draws
// options.suppressed_ids.
class Sampler {
 public:
  // `vocab_size`: of the tokenizer. Logits may be padded beyond it; those ids are never drawn.
  // `prompt`: ids that the repetition penalty counts as seen.
  Sampler(const GenerationOptions& options, int64_t vocab_size, std::span<const TokenId> prompt);

  // logits: [vocab] of any floating type. Throws kInvalidArgument if all ids are suppressed,
  // kBadWeights if a logit is not finite.
  TokenId sample(const at::Tensor& logits);

  // Whether one call of ops::sample can draw for both: all settings but penalty and seed are equal.
  bool has_settings_of(const Sampler& other) const;

 private:
  friend std::vector<Draw> sample(std::span<Sampler* const>, const at::Tensor&);

  // The next id of samplers with equal settings, from logits [samplers, vocab]. None for a row of
  // which a logit is not finite. Throws kInvalidArgument if all ids are suppressed.
  static std::vector<std::optional<TokenId>> sample_group(std::span<Sampler* const> group,
                                                          const at::Tensor& logits);
  // Applies the repetition penalty in place. values: [ids] float32.
  void penalize(const at::Tensor& values) const;
  // Makes suppressed ids too unlikely to be drawn, in place. values: [rows, ids] float32.
  void suppress(const at::Tensor& values);

  GenerationOptions options_;
  int64_t vocab_size_;
  at::Tensor suppressed_;         // [n] int64: the suppressed ids on the device of the last values
  int64_t suppressed_below_ = 0;  // the number of ids that those values had
  std::unordered_set<TokenId> seen_;
  std::mt19937_64 random_;
};

// The next token of each sampler, one for each row of logits [samplers, vocab] of any floating
// type. Samplers with equal settings share one call of ops::sample, so that a GPU is waited for
// once for each setting. Errors stay with the samplers that they concern.
std::vector<Draw> sample(std::span<Sampler* const> samplers, const at::Tensor& logits);

}  // namespace precis
