// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "compressors/attention_matching/fit.h"
#include "compressors/layer_plan.h"

namespace precis {

// Heads of a layer, float32.
struct LayerHeads {
  at::Tensor queries;  // [h, m, head_dim] reference queries, rotated, times the attention scale
  at::Tensor keys;     // [h, num_rows, head_dim]
  at::Tensor values;
};

// The rows that the plan leaves of each head: [h, count, head_dim] and [h, count] int64, ascending.
// Candidates are divided into blocks, which are fitted one after the other.
FittedRows fit_layer(const LayerHeads& heads, const LayerPlan& plan, at::ScalarType dtype);

}  // namespace precis
