// SPDX-License-Identifier: Apache-2.0
#include "cli/model_options.h"

#include <ATen/Context.h>

#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/check.h"
#include "base/parallel.h"
#include "cli/choices.h"
#include "cli/process.h"
#include "io/atomic_file.h"
#include "io/json_file.h"
#include "tokenizers/utf8.h"

namespace precis::cli {
namespace {

std::optional<Dtype> dtype_named(const std::string& name) {
  if (name == "float32") return Dtype::kFloat32;
  if (name == "bfloat16") return Dtype::kBFloat16;
  return std::nullopt;
}

constexpr const char* kStandardInput = "-";

std::string name_of_input(const std::filesystem::path& path) {
  return path == kStandardInput ? "standard input" : path.string();
}

nlohmann::json read_ids_json(const std::filesystem::path& path) {
  if (path != kStandardInput) return read_json(path);
  JsonFault fault;
  nlohmann::json parsed = parse_json(read_input(path), JsonNumbers::kFinite, &fault);
  PRECIS_CHECK(!parsed.is_discarded(),
               kInvalidArgument,
               name_of_input(path),
               ": not valid JSON: ",
               to_text(fault));
  return parsed;
}

std::string available_device(const std::string& name) {
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
                  "format of the model's matrices: the dtype, or int8 or int4, quantised on "
                  "loading; float32 and bfloat16 mean the same as with --dtype")
      ->check(one_of({"float32", "bfloat16", "int8", "int4"}));
}

void add_dtype_and_device(CLI::App& command, ModelOptions& options) {
  command
      .add_option(
          "--dtype",
          options.dtype,
          "float32, bfloat16, or auto: bfloat16 on a GPU and where the processor supports it")
      ->check(one_of({"float32", "bfloat16", "auto"}))
      ->capture_default_str();
  command
      .add_option(
          "--device", options.device, "cpu, or cuda: the CPU, with a warning, if there is no GPU")
      ->check(one_of({"cpu", "cuda"}))
      ->transform(available_device, "")
      ->capture_default_str();
  command
      .add_option_function<int64_t>(
          "--threads",
          [&options](int64_t threads) {
            options.engine.threads = threads;
            set_num_threads(threads);  // for work outside of an engine
          },
          "threads that compute, at most (default: the cores that this process may use)")
      ->check(CLI::Range(1, 4096));
}

CompressOptions CompressionFlags::options() const {
  CompressOptions result;
  result.ratio = ratio;
  result.segment = segment;
  result.refine_seconds = refine_seconds;
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
          "accepted and ignored: this command runs on the CPU")
      ->check(one_of({"cpu", "cuda"}));
}

void add_compression_flags(CLI::App& command, CompressionFlags& flags) {
  command.add_option(
      "--ratio", flags.ratio, "text tokens per memory token (default: the compressor's own)");
  command.add_option(
      "--segment", flags.segment, "text tokens in one pass (default: the compressor's limit)");
  command
      .add_option("--chaining", flags.chaining, "how the segments of a long text are compressed")
      ->check(one_of({"independent", "concat", "recursive"}))
      ->capture_default_str();
  command
      .add_option("--positions",
                  flags.positions,
                  "positions in the window that a memory of keys and values takes: as many as its "
                  "text has tokens, or as it has rows, so that texts longer than the window fit "
                  "(default: the compressor's own)")
      ->check(one_of({"text", "rows"}));
  command
      .add_option("--refine",
                  flags.refine_seconds,
                  "seconds of gradient steps on each memory, towards what the model predicts from "
                  "the full text; never returns a worse memory (0: none)")
      ->capture_default_str();
}

const Tokenizer* tokenizer_of(const Engine& engine) {
  try {
    return &engine.tokenizer();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return nullptr;
  }
}

std::string read_input(const std::filesystem::path& path) {
  if (path != kStandardInput) return read_file(path);
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

std::string read_text_or_none(const std::filesystem::path& path) {
  std::string text = read_input(path);
  check_utf8(text, name_of_input(path));
  return text;
}

std::string read_text(const std::filesystem::path& path) {
  std::string text = read_text_or_none(path);
  PRECIS_CHECK(!text.empty(),
               kInvalidArgument,
               name_of_input(path),
               ": the document is empty",
               path == kStandardInput ? "; one flag can read it" : "");
  return text;
}

std::vector<TokenId> read_ids_or_none(const std::filesystem::path& path) {
  const nlohmann::json parsed = read_ids_json(path);
  const std::string name = name_of_input(path);
  PRECIS_CHECK(parsed.is_array(), kInvalidArgument, name, ": expected a JSON array of token ids");
  std::vector<TokenId> ids;
  for (const nlohmann::json& id : parsed) {
    PRECIS_CHECK(
        id.is_number_integer(), kInvalidArgument, name, ": ", id.dump(), " is not a token id");
    const auto value = id.get<int64_t>();
    PRECIS_CHECK(value >= 0 && value <= std::numeric_limits<TokenId>::max(),
                 kInvalidArgument,
                 name,
                 ": ",
                 id.dump(),
                 " is not a token id");
    ids.push_back(static_cast<TokenId>(value));
  }
  return ids;
}

std::vector<TokenId> read_ids(const std::filesystem::path& path) {
  std::vector<TokenId> ids = read_ids_or_none(path);
  PRECIS_CHECK(!ids.empty(), kInvalidArgument, name_of_input(path), ": holds no token ids");
  return ids;
}

void check_can_be_written(const std::filesystem::path& file) {
  std::error_code ignored;
  PRECIS_CHECK(file.has_filename() && !std::filesystem::is_directory(file, ignored),
               kInvalidArgument,
               "\"",
               file.string(),
               "\": cannot be written: a file's name was expected");
  check_writable(file);
  remove_drafts(file.has_parent_path() ? file.parent_path() : ".");
}

void print(const nlohmann::json& result) { print_text(result.dump() + "\n"); }

void print_text(const std::string& text) {
  std::cout << text;
  check_output();
}

}  // namespace precis::cli
