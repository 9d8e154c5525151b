// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "precis/extend/decoder.h"
#include "precis/options.h"

namespace precis {

// A decoder of that shape whose weights mean nothing: for measuring what a model costs whose files
// are not at hand. Matrices hold numbers of deviation 0.02 that recur after some millions (drawing
// billions takes minutes), gains are ones, biases zeros. The same for the same seed, in every
// dtype up to rounding. Throws kOutOfMemory, and kUnsupported for a format that the widths do not
// allow.
std::unique_ptr<Decoder> random_decoder(const DecoderConfig& config,
                                        c10::TensorOptions options,
                                        WeightFormat format,
                                        uint64_t seed = 1);

}  // namespace precis
