// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "precis/extend/decoder.h"
#include "precis/options.h"

namespace precis {

// A decoder with random weights, to measure the cost of a model without its files. Matrices have a
// standard deviation of 0.02 and repeat after some millions of values, since drawing billions takes
// minutes; norm weights are 1, biases 0. Deterministic for a seed, in every dtype up to rounding.
// Throws kOutOfMemory, and kUnsupported for a format that the sizes do not allow.
std::unique_ptr<Decoder> random_decoder(const DecoderConfig& config,
                                        c10::TensorOptions options,
                                        WeightFormat format,
                                        uint64_t seed = 1);

}  // namespace precis
