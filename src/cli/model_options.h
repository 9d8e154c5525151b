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
  std::string weights;  // empty: in the dtype
  std::string device = "cpu";

  EngineOptions options() const;  // with what the texts say
  Engine load() const;
};

enum class CompressorUse { kNone, kOptional, kRequired };

// `default_dtype`: "float32", or "auto" for bfloat16 where the machine has it.
void add_model_options(CLI::App& command,
                       ModelOptions& options,
                       CompressorUse use,
                       const std::string& default_dtype);

// --dtype, --device and --threads alone.
void add_dtype_and_device(CLI::App& command, ModelOptions& options);
// A --device for commands without a model.
void add_ignored_device(CLI::App& command);

// --ratio, --segment, --chaining, --positions.
struct CompressionFlags {
  std::optional<double> ratio;
  std::optional<int64_t> segment;
  std::string chaining = "independent";
  std::string positions;  // empty: the compressor's own

  CompressOptions options() const;
};
void add_compression_flags(CLI::App& command, CompressionFlags& flags);

// Files that are read may be "-", standard input, which can be read once.

// The bytes of a file. Throws kNotFound.
std::string read_input(const std::filesystem::path& path);
// The same of a text. Throws kInvalidArgument, too, naming the file, if it is not valid UTF-8;
// read_text() also if it is empty.
std::string read_text_or_none(const std::filesystem::path& path);
std::string read_text(const std::filesystem::path& path);
// A JSON array of token ids. Throws kInvalidArgument, naming the file; read_ids() also for none.
std::vector<TokenId> read_ids_or_none(const std::filesystem::path& path);
std::vector<TokenId> read_ids(const std::filesystem::path& path);

// To be asked before long work. Throws kInvalidArgument, naming the file, if it cannot be made: its
// name is missing or a directory's, or the directory it is to stand in is missing or read-only.
// Removes what runs that were killed left of files there.
void check_can_be_written(const std::filesystem::path& file);

// One line on standard output.
void print(const nlohmann::json& result);
// A text as it is. Both throw kInvalidArgument if it cannot be written.
void print_text(const std::string& text);

}  // namespace precis::cli
