// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "compressors/attention_matching/fit.h"
#include "compressors/layer_plan.h"

namespace precis {

// Heads of a layer, float32.
struct LayerHeads {
  at::Tensor queries;  // [h, m, head_dim] reference queries, rotated, times the attention scale
  at::Tensor keys;     // [h, num_tokens, head_dim]
  at::Tensor values;
  // [1, number of candidates], of one head: by which candidates are preferred and divided among
  // blocks; undefined: by their importance, and equally.
  at::Tensor scores;
};

// Keys and values [h, count, head_dim] of the tokens that the plan keeps of each head, and their
// indices [h, count] int64, ascending. Candidates are divided into blocks, fitted one after the
// other.
FittedRows fit_layer(const LayerHeads& heads, const LayerPlan& plan, at::ScalarType dtype);

}  // namespace precis
