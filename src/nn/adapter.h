// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include "precis/adapter.h"
#include "precis/decoder.h"

namespace precis::nn {

// Throws kInvalidArgument unless the adapter fits a decoder of this shape and the rows of the pass.
void check_adapter(const Adapter& adapter, const DecoderInput& input, const DecoderConfig& config);

// The rows of a pass on which an adapter acts, [num_adapted] int64; undefined: all. A GPU is waited
// for.
at::Tensor adapted_rows(const DecoderInput& input);

// What the adapter adds to fused rows of q, k and v. x: [n, hidden]; rows: on which it acts, as
// adapted_rows() has them. -> [n, (heads + 2 kv_heads) * head_dim] in x's dtype
at::Tensor qkv_change(const AdapterLayer& layer,
                      const at::Tensor& x,
                      const at::Tensor& rows,
                      const DecoderConfig& config);

}  // namespace precis::nn
