// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/compressor_method.h"

namespace precis {

// IC-Former's entry in the registry.
CompressorMethod ic_former_method();

// Its sizes and cost. Sizes: slots = 128, max_segment = 512, num_layers = 3, ffn_size =
// 11008, connector = false, num_marks = 0 (trained AE and FT embeddings, which the paper does not
// count), query_heads_per_key = 1. The number of query heads changes no figure.
CompressorSizing ic_former_sizing();

}  // namespace precis
