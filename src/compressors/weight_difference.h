// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <optional>

#include "precis/extend/weights.h"

namespace precis {

struct RecoveryOptions {
  c10::ScalarType dtype = c10::ScalarType::Float;  // of the weights written; or BFloat16
  std::optional<double> check_sum;                 // none: nothing is checked
  // Bounds the memory: a shard, and beside it one tensor of the base, are held at a time.
  int64_t shard_bytes = int64_t{1} << 30;
};

// What recover_model() knows of the model that it wrote.
struct RecoveredModel {
  // Sum of all values, in float64 over float32 values, before they are rounded to another dtype.
  // Rotary tables count where the difference stores them: the published sums were taken when
  // checkpoints had them.
  double sum;
  int64_t vocab_size;
};

// Recovers a model that was published as its difference to the model it was tuned from, as
// Gisting's authors do (github.com/jayelm/gisting, src/weight_diff.py). Its vocabulary has one row
// more than the base's.
//   base        Hugging Face directory with a head of its own
//   difference  safetensors file or Hugging Face directory: the base's names, float32; one row more
//               in model.embed_tokens.weight and lm_head.weight, which is the new row itself
//   out         directory, made if it is not there: gets config.json, shards, tokenizer files
// Both are added in float32. Stored rotary tables are left out. A check sum has to be met to
// within 1e-2 and what a sum in float32, as published ones are, may have lost to rounding. Throws
// kNotFound, kBadWeights naming a tensor that is missing, surplus or of another shape, or the sum;
// kUnsupported for pickles and for a tied head. What was written by then stays.
RecoveredModel recover_model(const std::filesystem::path& base,
                             const std::filesystem::path& difference,
                             const std::filesystem::path& out,
                             const RecoveryOptions& options = {});

// Whether a source holds no weights, but their difference to others, so far as it can be told: by
// its stored rotary tables, which begin with 1 in every model and with 0 in a difference.
bool is_weight_difference(const WeightSource& source);

}  // namespace precis
