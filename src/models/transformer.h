// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "precis/decoder.h"
#include "precis/options.h"
#include "precis/weights.h"

namespace precis {

// The decoder-only transformer that all supported architectures are variants of. Throws kBadWeights
// if a tensor is missing, has another shape than the configuration says, or is left over,
// kUnsupported for a format that the model's widths do not allow. options: what is computed in;
// quantised weights are best read in float32.
std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config,
                                          const Weights& weights,
                                          c10::TensorOptions options,
                                          WeightFormat format);

}  // namespace precis
