// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"

namespace precis {

// The decoder's keys and values of a memory's embeddings, read from position 0 on with nothing
// before them. Throws kInvalidArgument for embeddings of another hidden size, and for more than the
// model's context_length; kBadWeights for keys and values that are not finite.
CachedTokens prefill(const SoftTokens& memory, const Decoder& decoder);

}  // namespace precis
