// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "precis/decoder.h"
#include "precis/weights.h"

namespace precis {

// The decoder-only transformer that all supported architectures are variants of. Throws kBadWeights
// if a tensor is missing, has another shape than the configuration says, or is left over.
std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config, const Weights& weights);

}  // namespace precis
