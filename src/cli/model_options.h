// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "precis/engine.h"

namespace precis::cli {

// --model, --compressor, --dtype, --weights, --device, --threads.
struct ModelOptions {
  EngineOptions engine;
  std::string dtype = "auto";
  std::string weights;  // empty: the dtype
  std::string device = "cpu";

  EngineOptions options() const;  // `engine` with the values of the texts
  Engine load() const;
};

enum class CompressorUse { kNone, kOptional, kRequired };

// `default_dtype`: "float32", or "auto" for bfloat16 where the machine supports it.
void add_model_options(CLI::App& command,
                       ModelOptions& options,
                       CompressorUse use,
                       const std::string& default_dtype);

// --dtype, --device and --threads alone.
void add_dtype_and_device(CLI::App& command, ModelOptions& options);
// A --device that is ignored, for commands without a model.
void add_ignored_device(CLI::App& command);

// --ratio, --segment, --chaining, --positions, --refine.
struct CompressionFlags {
  std::optional<double> ratio;
  std::optional<int64_t> segment;
  std::string chaining = "independent";
  std::string positions;  // empty: the compressor's own
  double refine_seconds = 0;

  CompressOptions options() const;
};
void add_compression_flags(CLI::App& command, CompressionFlags& flags);

// The model's; null: it has none.
const Tokenizer* tokenizer_of(const Engine& engine);

// Paths of the functions below may be "-": standard input, which can be read once.

// The bytes of a file. Throws kNotFound.
std::string read_input(const std::filesystem::path& path);
// The text of a file. Throws kNotFound, and kInvalidArgument, naming the file, if it is not valid
// UTF-8; read_text() also if it is empty.
std::string read_text_or_none(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);
// The ids of a JSON array. Throws kInvalidArgument, naming the file, if it is something else;
// read_ids() also if the array is empty.
std::vector<TokenId> read_ids_or_none(const std::filesystem::path& path);
std::vector<TokenId> read_ids(const std::filesystem::path& path);

// Checks before long work that a file can be written: throws kInvalidArgument, naming it, if the
// name is missing or a directory's, or if the parent directory is missing or read-only. Removes
// drafts that killed processes left there.
void check_can_be_written(const std::filesystem::path& file);

// Prints JSON as one line, or a text as it is, on standard output. Both throw kInvalidArgument if
// it cannot be written.
void print(const nlohmann::json& result);
void print_text(const std::string& text);

}  // namespace precis::cli
