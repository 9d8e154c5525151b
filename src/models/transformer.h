// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"
#include "precis/options.h"

namespace precis {

// The decoder-only transformer that all supported architectures are variants of. Throws kBadWeights
// if a tensor is missing, has another shape than the configuration says, or is left over,
// kUnsupported for a format that the model's widths do not allow. options: what is computed in;
// weights are best read in stored_options().
std::unique_ptr<Decoder> load_transformer(const DecoderConfig& config,
                                          const Weights& weights,
                                          c10::TensorOptions options,
                                          WeightFormat format);

// What weights are read in: numbers that become few bits are rounded once, from float32.
c10::TensorOptions stored_options(c10::TensorOptions options, WeightFormat format);

}  // namespace precis
