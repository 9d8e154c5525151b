// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/weights.h"

namespace precis {

// Counts tensors as taken that checkpoints hold beside their weights and that change nothing here:
// what the configuration implies (rotary tables, positions) and scales of caches in FP8.
void skip_neutral_tensors(const Weights& weights);

// Throws kBadWeights naming tensors that the model did not use.
void refuse_leftovers(const Weights& weights);

}  // namespace precis
