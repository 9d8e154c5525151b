// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "compressors/divide.h"
#include "compressors/row_selector.h"
#include "precis/extend/decoder.h"

namespace precis {

// Which rows of a layer stay as they are and of which some are left.
struct LayerPlan {
  TokenRange copied{0, 0};      // stand before the candidates
  TokenRange candidates{0, 0};  // size 0: none
  int64_t count = 0;            // rows to be left of the candidates
};

// A layer with a window keeps what the text that follows can still see: of the rows that the next
// one sees the first are copied in the place of the sinks, which may be left out later, and the
// others are candidates. Where more rows are to be left than it sees, those are the last ones.
LayerPlan plan_layer(const SelectionRequest& request, const DecoderConfig& config, int64_t layer);

// The queries of some rows of a pass as they would be at `positions`, rotated and times the
// attention scale, float32 [kv_heads, heads / kv_heads, n, head_dim]. rows, positions: [n] int64.
at::Tensor rotated_queries(const ObservedLayer& layer,
                           const at::Tensor& rows,
                           const at::Tensor& positions,
                           const DecoderConfig& config);

}  // namespace precis
