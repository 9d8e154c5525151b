// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "compressors/selection_method.h"

namespace precis {

// Sizes and cost of built-in compressors. Sizes: those of SelectionSizes.
CompressorSizing selection_sizing(const SelectionMethod& selection);

// Text tokens of a chunk: max_segment or, where that is 0, what fits the model's window. Throws
// kInvalidArgument for a window that holds no text.
int64_t longest_chunk(const SelectionMethod& selection,
                      const SelectionSizes& sizes,
                      const DecoderConfig& model);

}  // namespace precis
