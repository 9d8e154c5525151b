// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/tokenizer.h"

namespace precis::cli {

// What a compressor that is still to be trained is made of; what is not said is the method's own
// default.
struct NewCompressor {
  std::string method;
  std::optional<double> ratio;                // selfcp, gisting
  std::optional<int64_t> slots;               // icae, gisting, ic-former
  std::optional<int64_t> max_segment;         // all
  std::optional<int64_t> separator;           // selfcp
  std::optional<int64_t> rank;                // icae, gisting
  std::optional<double> alpha;                // icae, gisting
  std::optional<int64_t> layers;              // ic-former
  bool token_table = false;                   // ic-former
  std::optional<std::string> slot_positions;  // icae, ic-former: "after" or "spread"
  uint64_t seed = 1;
};

// Adds its flags, but for the method; they exclude `other`.
void add_new_compressor_flags(CLI::App& command, NewCompressor& flags, CLI::Option* other);

// Throws kUnsupported for an unknown method.
void check_method(const NewCompressor& flags);

// `tokenizer`, if any, is the decoder's. Throws kUnsupported for an unknown method,
// kInvalidArgument for a flag that it does not have.
std::unique_ptr<Compressor> create(const NewCompressor& flags,
                                   const Decoder& decoder,
                                   const Tokenizer* tokenizer);

}  // namespace precis::cli
