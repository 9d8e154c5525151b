// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "precis/serving.h"

namespace precis {

// Fills in the log-probability of the token's id and its `count` most likely alternatives (fewer if
// there are fewer ids). logits: [ids] of any floating type, as the model gives them. REQUIRES: the
// token has an id, which is below the number of ids.
void add_log_probabilities(const at::Tensor& logits, int64_t count, GeneratedToken& token);

}  // namespace precis
