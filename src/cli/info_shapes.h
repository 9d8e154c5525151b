// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "precis/extend/compressor_method.h"

namespace precis::cli {

// A compressor given by its method and sizes, in place of files.
struct ShapeFlags {
  std::string method;
  CompressorSettings settings;  // those that are given; the others have the published values
};

// Adds --method and the sizes; --method needs `shape`, the option for the model's.
void add_shape_flags(CLI::App& command, ShapeFlags& flags, CLI::Option* shape);

// The method. Throws kInvalidArgument for an unknown one and for a size that it does not have.
const CompressorMethod& checked_method(const ShapeFlags& flags);

// `model_name`: as model_shape() takes it; where it is a model's files, built-in compressors count
// with its tokenizer. Throws kInvalidArgument, or as load_tokenizer(). REQUIRES: a method that
// checked_method() accepts.
PlannedCompressor plan_compressor(const ShapeFlags& flags,
                                  const std::string& model_name,
                                  const DecoderConfig& model);

// A compressor's description: its method and what its plan says of it.
nlohmann::json describe_plan(const CompressorMethod& method, const PlannedCompressor& plan);

}  // namespace precis::cli
