// SPDX-License-Identifier: Apache-2.0
#include "cli/model_options.h"

#include <ATen/Context.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/check.h"
#include "io/json_file.h"

namespace precis::cli {
namespace {

std::optional<Dtype> dtype_named(const std::string& name) {
  if (name == "float32") return Dtype::kFloat32;
  if (name == "bfloat16") return Dtype::kBFloat16;
  return std::nullopt;
}

std::string device_that_is_there(const std::string& name) {
  if (name != "cuda" || at::hasCUDA()) return name;
  std::cerr << "precis: there is no GPU, or this build is without CUDA: running on the CPU"
            << std::endl;
  return "cpu";
}

}  // namespace

EngineOptions ModelOptions::options() const {
  EngineOptions options = engine;
  options.dtype = dtype_named(dtype_named(weights) ? weights : dtype);
  if (weights == "int8") options.weights = WeightFormat::kInt8;
  if (weights == "int4") options.weights = WeightFormat::kInt4;
  options.device = device == "cuda" ? DeviceKind::kCuda : DeviceKind::kCpu;
  return options;
}

Engine ModelOptions::load() const { return Engine::load(options()); }

void add_model_options(CLI::App& command,
                       ModelOptions& options,
                       CompressorUse use,
                       const std::string& default_dtype) {
  options.dtype = default_dtype;
  command.add_option("--model", options.engine.model, "GGUF file or Hugging Face directory")
      ->required();
  if (use != CompressorUse::kNone) {
    command
        .add_option("--compressor",
                    options.engine.compressor,
                    "attention_matching (the default) or kvzip, which work with any model, or a "
                    "directory with compressor.json")
        ->required(use == CompressorUse::kRequired);
  }
  add_dtype_and_device(command, options);
  command
      .add_option("--weights",
                  options.weights,
                  "how the model's matrices are kept: in the dtype, or int8 or int4, quantised on "
                  "loading; float32 and bfloat16 mean the same as with --dtype")
      ->check(CLI::IsMember({"float32", "bfloat16", "int8", "int4"}));
}

void add_dtype_and_device(CLI::App& command, ModelOptions& options) {
  command
      .add_option("--dtype",
                  options.dtype,
                  "float32, bfloat16, or auto: bfloat16 on a GPU and where the processor has it")
      ->check(CLI::IsMember({"float32", "bfloat16", "auto"}))
      ->capture_default_str();
  command
      .add_option("--device",
                  options.device,
                  "cpu, or cuda: the CPU again, and a warning, where there is no GPU")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->transform(device_that_is_there, "")
      ->capture_default_str();
}

CompressOptions CompressionFlags::options() const {
  CompressOptions result;
  result.ratio = ratio;
  result.segment = segment;
  if (positions == "text") result.positions = MemoryPositions::kText;
  if (positions == "rows") result.positions = MemoryPositions::kRows;
  if (chaining == "concat") result.chaining = Chaining::kConcat;
  if (chaining == "recursive") result.chaining = Chaining::kRecursive;
  return result;
}

void add_ignored_device(CLI::App& command) {
  command
      .add_option_function<std::string>(
          "--device",
          [](const std::string&) {},
          "taken everywhere; this command needs the CPU only")
      ->check(CLI::IsMember({"cpu", "cuda"}));
}

void add_compression_flags(CLI::App& command, CompressionFlags& flags) {
  command.add_option(
      "--ratio", flags.ratio, "text tokens per memory token (default: the compressor's own)");
  command.add_option(
      "--segment", flags.segment, "text tokens in one pass (default: the compressor's limit)");
  command.add_option("--chaining", flags.chaining, "how the parts of a long text are compressed")
      ->check(CLI::IsMember({"independent", "concat", "recursive"}))
      ->capture_default_str();
  command
      .add_option("--positions",
                  flags.positions,
                  "positions in the window that a memory of keys and values takes: as many as its "
                  "text has tokens, or as it has rows, so that texts longer than the window fit "
                  "(default: the compressor's own)")
      ->check(CLI::IsMember({"text", "rows"}));
}

std::vector<TokenId> read_ids(const std::filesystem::path& path) {
  const nlohmann::json parsed = read_json(path);
  PRECIS_CHECK(
      parsed.is_array(), kInvalidArgument, path.string(), ": expected a JSON array of token ids");
  std::vector<TokenId> ids;
  for (const nlohmann::json& id : parsed) {
    PRECIS_CHECK(id.is_number_integer(),
                 kInvalidArgument,
                 path.string(),
                 ": ",
                 id.dump(),
                 " is not a token id");
    const auto value = id.get<int64_t>();
    PRECIS_CHECK(value >= 0 && value <= std::numeric_limits<TokenId>::max(),
                 kInvalidArgument,
                 path.string(),
                 ": ",
                 id.dump(),
                 " is not a token id");
    ids.push_back(static_cast<TokenId>(value));
  }
  PRECIS_CHECK(!ids.empty(), kInvalidArgument, path.string(), ": holds no token ids");
  return ids;
}

std::string read_text(const std::filesystem::path& path) {
  std::string text = read_file(path);
  PRECIS_CHECK(!text.empty(), kInvalidArgument, path.string(), ": the document is empty");
  return text;
}

void check_can_be_written(const std::filesystem::path& file) {
  std::error_code ignored;
  PRECIS_CHECK(file.has_filename() && !std::filesystem::is_directory(file, ignored),
               kInvalidArgument,
               "\"",
               file.string(),
               "\": cannot be written: a file's name was expected");
  // Of a file in the directory's place, "/." tells.
  const std::filesystem::path directory = file.has_parent_path() ? file.parent_path() / "." : ".";
  const int error = ::access(directory.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
  PRECIS_CHECK(error == 0,
               kInvalidArgument,
               file.string(),
               ": cannot be written: ",
               std::generic_category().message(error));
}

void print(const nlohmann::json& result) {
  std::cout << result.dump() << std::endl;
  PRECIS_CHECK(std::cout.good(), kInvalidArgument, "standard output cannot be written");
}

}  // namespace precis::cli
