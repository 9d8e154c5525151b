// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"
#include "precis/options.h"

namespace precis {

// The decoder-only transformer that all supported architectures are variants of. Throws kBadWeights
// if a tensor is missing, has another shape than the configuration says, or is not used,
// kUnsupported for a format that the model's widths do not allow. options: dtype and device of the
// computation; weights are best read in stored_options().
std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config,
                                          const Weights& weights,
                                          c10::TensorOptions options,
                                          WeightFormat format);

// Dtype and device to read weights in: float32 for weights that are quantised, so that they are
// rounded only once.
c10::TensorOptions stored_options(c10::TensorOptions options, WeightFormat format);

}  // namespace precis
