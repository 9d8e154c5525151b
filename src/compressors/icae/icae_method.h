// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/compressor_method.h"

namespace precis {

// ICAE's entry in the registry.
CompressorMethod icae_method();

// Its sizes and cost. Sizes: slots = 128, max_segment = 512, rank = 128, connector = false,
// rows_before = 0 (tokens of before_text, which are divided with the text).
CompressorSizing icae_sizing();

}  // namespace precis
