// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/extend/adapter.h"
#include "precis/extend/decoder.h"

namespace precis::models {

// Throws kInvalidArgument unless the adapter fits a decoder of this shape and the tokens of the
// pass.
void check_adapter(const Adapter& adapter, const DecoderInput& input, const DecoderConfig& config);

// The tokens of a pass that an adapter acts on, [num_adapted] int64; undefined: all. Waits for a
// GPU.
at::Tensor adapted_rows(const DecoderInput& input);

// projected + scale (x down) up, for q, k or v. projected: [n, out]; x: [n, hidden]; tokens: those
// that the adapter acts on, as adapted_rows() returns them. -> [n, out] in projected's dtype;
// projected itself if the adapter does not change this projection.
at::Tensor apply_lora(const LoraWeights& change,
                      const at::Tensor& x,
                      const at::Tensor& tokens,
                      const at::Tensor& projected);

}  // namespace precis::models
