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
  // Bounds the memory: one shard and one tensor of the base are held at a time.
  int64_t shard_bytes = int64_t{1} << 30;
};

// What recover_model() wrote.
struct RecoveredModel {
  // Sum of all values, in float64 over float32 values, before they are rounded to another dtype.
  // Rotary tables count if the difference stores them: published sums include them.
  double sum;
  int64_t vocab_size;
};

// Recovers a model that was published as its difference from the model it was tuned from, as
// Gisting's authors do (github.com/jayelm/gisting, src/weight_diff.py). Its vocabulary has one
// token more than the base's.
//   base        Hugging Face directory with an untied LM head
//   difference  safetensors file or Hugging Face directory: the base's names, float32; one row more
//               in model.embed_tokens.weight and lm_head.weight, which holds the new token's
//               weights
//   out         directory, created if missing: gets config.json, shards, tokenizer files
// Both are added in float32. Stored rotary tables are left out. The check sum may differ by 1e-2
// plus the rounding errors of a float32 sum, which published ones are. Throws kNotFound,
// kBadWeights naming a tensor that is missing, surplus or of another shape, or the sum;
// kUnsupported for pickles and for a tied head. Files written before an error stay.
RecoveredModel recover_model(const std::filesystem::path& base,
                             const std::filesystem::path& difference,
                             const std::filesystem::path& out,
                             const RecoveryOptions& options = {});

// Whether a source holds a difference of weights rather than weights, judged by its rotary tables,
// if any: these begin with 1 in a model and with 0 in a difference.
bool is_weight_difference(const WeightSource& source);

}  // namespace precis
