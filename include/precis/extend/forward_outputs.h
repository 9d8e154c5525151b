// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/decoder.h"

namespace precis {

// Calls Decoder::forward for the hidden states of input.output_indices, [num_outputs, hidden].
// Throws as forward(), and kInternal if the decoder, which may come from outside the library,
// returns another number of them. REQUIRES: output_indices are defined.
at::Tensor forward_outputs(const Decoder& decoder,
                           const DecoderInput& input,
                           KvCache& cache,
                           const Adapter* adapter = nullptr);

}  // namespace precis
