// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/compressor_method.h"

namespace precis {

// Gisting's entry in the registry.
CompressorMethod gisting_method();

// Its sizes and cost. Sizes: form = "frozen" or "tuned", num_gists = 1, ratio (in place of
// num_gists: text tokens for each gist), gist_positions = "after" or "spread", max_segment = 512,
// rank = 16 (of the frozen form's LoRA on q, k and v of the gists; 0: none), rows_before = 0
// (tokens of before_text).
CompressorSizing gisting_sizing();

}  // namespace precis
