// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "compressors/selection_method.h"

namespace precis {

// FLOPs of all passes that repeat a text, and of its tokens' scores (repeat_pass.h).
double all_repeats_flops(const SelectionCounts& counts,
                         const SelectionSizes& sizes,
                         const DecoderConfig& model);

}  // namespace precis
