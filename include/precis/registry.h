// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "precis/compressor.h"
#include "precis/decoder.h"

namespace precis {

// Makes a compressor out of its directory. The decoder outlives it.
using CompressorFactory = std::function<std::unique_ptr<Compressor>(
    const std::filesystem::path& directory, const Decoder& decoder)>;

// Makes a method known to load_compressor() and Engine::load() under the name that compressor.json
// gives as "method", for the rest of the process. What that file says of its "base" is checked
// before the factory is called. Throws kInvalidArgument for a name that is taken.
// Safe to call from several threads.
void register_compressor(const std::string& method, CompressorFactory factory);

// Opens a compressor directory, whatever its method. Throws kNotFound, kBadWeights (damaged, or
// made for another model) or kUnsupported (an unknown method).
std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory,
                                            const Decoder& decoder);

}  // namespace precis
