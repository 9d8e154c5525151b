// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"

namespace precis {

// The keys and values that the decoder makes of the rows of a memory when it reads them first, from
// position 0 on. Throws kInvalidArgument for rows of another hidden size and more than the model's
// window holds.
CachedTokens prefill(const SoftTokens& memory, const Decoder& decoder);

}  // namespace precis
