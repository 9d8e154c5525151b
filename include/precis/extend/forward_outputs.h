// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis {

// Decoder::forward of a pass that wants certain rows. Throws kInternal where the decoder, which may
// come from outside the library, gives another number of them. REQUIRES: output_indices.
at::Tensor forward_outputs(const Decoder& decoder,
                           const DecoderInput& input,
                           KvCache& cache,
                           const Adapter* adapter = nullptr);

}  // namespace precis
