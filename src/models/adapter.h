// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/adapter.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// Throws kInvalidArgument unless the adapter fits a decoder of this shape and the rows of the pass.
void check_adapter(const Adapter& adapter, const DecoderInput& input, const DecoderConfig& config);

// The rows of a pass on which an adapter acts, [num_adapted] int64; undefined: all. A GPU is waited
// for.
at::Tensor adapted_rows(const DecoderInput& input);

// projected + scale (x down) up, of q, k or v. projected: [n, out]; x: [n, hidden]; rows: on which
// the adapter acts, as adapted_rows() has them. -> [n, out] in projected's dtype, projected itself
// where nothing changes
at::Tensor apply_lora(const LoraWeights& change,
                      const at::Tensor& x,
                      const at::Tensor& rows,
                      const at::Tensor& projected);

}  // namespace precis::models
