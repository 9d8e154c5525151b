// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/weights.h"

namespace precis {

// Skips tensors of checkpoints that do not affect results here: those computed from the
// configuration (rotary tables, positions) and scales of FP8 caches.
void skip_neutral_tensors(const Weights& weights);

// Throws kBadWeights naming the tensors that the model did not use, if there are any.
void refuse_leftovers(const Weights& weights);

}  // namespace precis
