// SPDX-License-Identifier: Apache-2.0
#include "precis/extend/forward_outputs.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace precis {

at::Tensor forward_outputs(const Decoder& decoder,
                           const DecoderInput& input,
                           KvCache& cache,
                           const Adapter* adapter) {
  at::Tensor hidden = decoder.forward(input, cache, adapter);
  PRECIS_CHECK(hidden.size(0) == input.output_indices.numel(),
               kInternal,
               "decoder: gave ",
               hidden.size(0),
               " hidden states for ",
               input.output_indices.numel(),
               " output_indices");
  return hidden;
}

}  // namespace precis
