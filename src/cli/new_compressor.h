// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "precis/extend/compressor_method.h"

namespace precis::cli {

// A compressor that is still to be trained.
struct NewCompressor {
  std::string method;
  CompressorSettings settings;  // those that are given; the others have the method's defaults
  uint64_t seed = 1;
};

// Adds a flag for each setting of the methods that can be trained; they exclude `other`.
void add_new_compressor_flags(CLI::App& command, NewCompressor& flags, CLI::Option* other);

// Throws kUnsupported for an unknown method.
void check_method(const NewCompressor& flags);

// `tokenizer`, if any, is the decoder's. Throws kUnsupported for an unknown method,
// kInvalidArgument for a flag that it does not have.
std::unique_ptr<Compressor> create(const NewCompressor& flags,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer);

}  // namespace precis::cli
