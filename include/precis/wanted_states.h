// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/decoder.h"

namespace precis {

// Decoder::forward of a pass that wants certain rows. Throws kInternal where the decoder, which may
// come from outside the library, gives another number of them. REQUIRES: wanted_rows.
at::Tensor wanted_states(const Decoder& decoder,
                         const DecoderInput& input,
                         KvCache& cache,
                         const Adapter* adapter = nullptr);

}  // namespace precis
