// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "compressors/ic_former/digest_net.h"
#include "ops/rotary.h"

namespace precis::ic_former {

// Rotary angles of texts that lie one after the other: tokens at 0 .. length - 1, the k digests
// behind them or spread over them, as the shape says.
struct DigestAngles {
  ops::RotaryTable keys;     // of each text its tokens and then its digests, [sum of (length + k)]
  ops::RotaryTable queries;  // of the digests alone, [num_texts * k]
};

// options: device and dtype of the states; angles are float32, or float64 for float64.
DigestAngles digest_angles(std::span<const int64_t> lengths,
                           int64_t num_digests,
                           int64_t head_dim,
                           const DigestShape& shape,
                           const at::TensorOptions& options);

}  // namespace precis::ic_former
