// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "precis/compressor.h"
#include "precis/decoder.h"

namespace precis {

// Opens a compressor directory, whatever its method. Throws kNotFound, kBadWeights (damaged, or
// made for another model) or kUnsupported (an unknown method).
std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory,
                                            const Decoder& decoder);

}  // namespace precis
