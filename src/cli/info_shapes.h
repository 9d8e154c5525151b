// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "precis/extend/shapes.h"

namespace precis::cli {

// A compressor that is told by its sizes, in place of files; what is not said is the method's own
// default.
struct ShapeFlags {
  std::string method;
  std::optional<int64_t> slots, rank, max_segment, layers, ffn_size;
  std::optional<double> ratio;
  bool tuned = false;
};

// Adds --method and the sizes, which mean nothing without `shape`, the option of the model's.
void add_shape_flags(CLI::App& command, ShapeFlags& flags, CLI::Option* shape);

// Throws kInvalidArgument for an unknown method and for a size that it does not have.
void check_shape_flags(const CLI::App& command, const ShapeFlags& flags);

// `model_name`: as model_shape() takes it; where it is a model's files, built-in compressors count
// with its tokenizer. Throws kInvalidArgument, or as load_tokenizer().
CompressorShape compressor_shape(const ShapeFlags& flags,
                                 const std::string& model_name,
                                 const DecoderConfig& model);

nlohmann::json describe_shape(const CompressorShape& shape);

}  // namespace precis::cli
