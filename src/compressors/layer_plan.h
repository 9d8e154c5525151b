// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "compressors/divide.h"
#include "compressors/row_selector.h"
#include "precis/extend/decoder.h"

namespace precis {

// Which cached tokens of a layer are kept unchanged, and from which the others are selected.
struct LayerPlan {
  TokenRange copied{0, 0};      // kept unchanged; before the candidates
  TokenRange candidates{0, 0};  // size 0: none
  int64_t count = 0;            // tokens to select of the candidates
};

// A layer with a sliding window keeps only tokens that are visible to the token after the text: the
// first of them are copied in place of the sinks, which may be dropped later, and the others are
// candidates. If more tokens are to be kept than are visible, the last ones are kept.
LayerPlan plan_layer(const SelectionRequest& request, const DecoderConfig& config, int64_t layer);

// The same from numbers of tokens: of the text, always kept, and kept in all.
// `window`: 0 for a layer without one.
LayerPlan plan_layer(int64_t num_tokens, int64_t num_kept, int64_t count, int64_t window);

// Queries of some tokens of a pass, rotated to `positions` and times the attention scale, float32
// [kv_heads, heads / kv_heads, n, head_dim]. rows (token indices in the pass), positions: [n]
// int64.
at::Tensor rotated_queries(const ObservedLayer& layer,
                           const at::Tensor& rows,
                           const at::Tensor& positions,
                           const DecoderConfig& config);

}  // namespace precis
