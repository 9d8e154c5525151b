// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "compressors/ic_former/digest_net.h"
#include "ops/rotary.h"

namespace precis::ic_former {

// Rotary angles of packed texts: tokens at positions 0 .. length - 1, the k digests after them or
// spread over them (DigestShape::spread).
struct DigestAngles {
  ops::RotaryTable keys;     // for each text its tokens, then its digests, [sum of (length + k)]
  ops::RotaryTable queries;  // of the digests alone, [num_texts * k]
};

// options: device and dtype of the states; angles are float32, or float64 for float64.
DigestAngles digest_angles(std::span<const int64_t> lengths,
                           int64_t num_digests,
                           int64_t head_dim,
                           const DigestShape& shape,
                           const at::TensorOptions& options);

}  // namespace precis::ic_former
