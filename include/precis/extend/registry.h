// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/compressor_method.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis {

// Makes a method known to load_compressor() and Engine::load() under the name that compressor.json
// gives as "method", for the rest of the process; what else it describes, compression_cost() and
// the program can use. The "base" of a compressor.json is checked before the factory is called.
// Throws kInvalidArgument for a name that is taken and for a method without name or factory.
// Safe to call from several threads.
void register_compressor(CompressorMethod method);
// The same for a method that describes nothing but how it is loaded.
void register_compressor(const std::string& name, CompressorFactory load);

// Every known method, the library's first. They live as long as the process.
std::vector<const CompressorMethod*> compressor_methods();
// Null for an unknown method.
const CompressorMethod* find_compressor_method(const std::string& name);

// Opens a compressor directory, whatever its method, or makes a built-in compressor: the path is
// its name then. `tokenizer`, if any, is the decoder's; built-ins ask it for the BOS that the model
// wants before a text and for the tokens of the prompt that they read. Both outlive the compressor.
// Throws kNotFound, kBadWeights (damaged, or made for another model) or kUnsupported (an unknown
// method).
std::unique_ptr<Compressor> load_compressor(const std::filesystem::path& directory_or_name,
                                            const Decoder& decoder,
                                            const Tokenizer* tokenizer = nullptr);

// Names of the compressors without weights, which work with any model.
std::vector<std::string> built_in_compressors();

inline constexpr const char* kDefaultCompressor = "attention_matching";

}  // namespace precis
