// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "compressors/layer_plan.h"
#include "precis/extend/shapes.h"

namespace precis {

// What a built-in compressor makes of one part of `num_tokens` text tokens.
// REQUIRES: a shape that check_compressor_shape() accepts.

// Rows of the memory, as SelectingCompressor::memory_size() promises them.
int64_t selected_rows(const SelectionShape& shape, int64_t num_tokens);

// FLOPs: the pass over the text, and the fit or the passes that say the text again.
double selection_flops(const SelectionShape& shape, const DecoderConfig& model, int64_t num_tokens);

// FLOPs of attention_matching's fit of one layer: the matrix products of fit_layer(). Forward
// selection and Cholesky factors are none and are not counted.
double fit_flops(const LayerPlan& plan, const DecoderConfig& model);

}  // namespace precis
