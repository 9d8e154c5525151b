// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Makes a compressor out of its directory. The decoder outlives it.
using CompressorFactory = std::function<std::unique_ptr<Compressor>(
    const std::filesystem::path& directory, const Decoder& decoder)>;

// Makes a method known to load_compressor() and Engine::load() under the name that compressor.json
// gives as "method", for the rest of the process. What that file says of its "base" is checked
// before the factory is called. Throws kInvalidArgument for a name that is taken.
// Safe to call from several threads.
void register_compressor(const std::string& method, CompressorFactory factory);

// Opens a compressor directory, whatever its method, or makes a built-in compressor: the path is
// its name then. `tokenizer`, if any, is the decoder's; built-ins ask it for the BOS that the model
// wants before a text and for the words of the prompt that they read. Both outlive the compressor.
// Throws kNotFound, kBadWeights (damaged, or made for another model) or kUnsupported (an unknown
// method).
std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory_or_name,
                                            const Decoder& decoder,
                                            const Tokenizer* tokenizer = nullptr);

// Names of the compressors without weights, which work with any model.
std::vector<std::string> built_in_compressors();

inline constexpr const char* kDefaultCompressor = "attention_matching";

}  // namespace precis
