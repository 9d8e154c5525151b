// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "precis/decoder.h"
#include "precis/memory_tensors.h"

namespace precis {

// The same memory with its first token at another position. Attention sees differences of positions
// only, so keys are turned by the difference, each layer with its own rotary embedding; values
// stay. The result is what the model would have computed with all of its rows that much further on,
// up to rounding. Differentiable. Throws kInvalidArgument for keys of another model's shape and for
// positions outside its window.
CachedTokens rebase(const CachedTokens& memory,
                    const DecoderConfig& config,
                    int64_t new_first_position);

}  // namespace precis
