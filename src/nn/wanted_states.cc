// SPDX-License-Identifier: Apache-2.0
#include "precis/wanted_states.h"

#include <ATen/ATen.h>

#include "base/check.h"

namespace precis {

at::Tensor wanted_states(const Decoder& decoder,
                         const DecoderInput& input,
                         KvCache& cache,
                         const Adapter* adapter) {
  at::Tensor hidden = decoder.forward(input, cache, adapter);
  PRECIS_CHECK(hidden.size(0) == input.wanted_rows.numel(),
               kInternal,
               "decoder: gave ",
               hidden.size(0),
               " rows where ",
               input.wanted_rows.numel(),
               " were wanted");
  return hidden;
}

}  // namespace precis
