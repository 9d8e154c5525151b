// SPDX-License-Identifier: Apache-2.0
// precis info: what a model and a compressor are and what they cost, from their files or from
// shapes alone.
#include <ATen/ATen.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/info_shapes.h"
#include "cli/model_options.h"
#include "precis/extend/compressor.h"
#include "precis/extend/cost.h"
#include "precis/extend/decoder.h"
#include "precis/extend/registry.h"
#include "precis/extend/shapes.h"

namespace precis::cli {
namespace {

using nlohmann::json;

// The most that precis/extend/cost.h counts.
constexpr int64_t kLongestText = int64_t{1} << 24;

struct Flags {
  ModelOptions model;
  std::string shape;
  ShapeFlags compressor;
  std::optional<int64_t> length;
};

json describe(const DecoderConfig& config) {
  return {{"architecture", config.architecture},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.hidden_size},
          {"num_layers", config.num_layers},
          {"num_heads", config.num_heads},
          {"num_kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"ffn_size", config.ffn_size},
          {"context_length", config.context_length}};
}

json describe(const Decoder& decoder) {
  json result = describe(decoder.config());
  result["parameters"] = decoder.num_parameters();
  result["weight_bytes"] = decoder.weight_bytes();
  result["dtype"] = decoder.options().dtype() == at::kFloat ? "float32" : "bfloat16";
  result["fingerprint"] = decoder.fingerprint();
  return result;
}

json describe(const CompressorInfo& info) {
  return {{"method", info.method},
          {"ratio", info.ratio},
          {"any_ratio", info.any_ratio},
          {"max_segment", info.max_segment},
          {"slots", info.slots},
          {"divides", info.divides},
          {"any_chaining", info.any_chaining},
          {"reads_prefix", info.reads_prefix},
          {"parameters", info.num_parameters},
          {"fingerprint", info.fingerprint}};
}

void add_context(json& result, const std::string& reader, const ContextCost& cost) {
  result[reader + "_prefill_flops"] = cost.prefill_flops;
  result[reader + "_decode_flops"] = cost.decode_flops;
  result[reader + "_kv_bytes"] = cost.kv_bytes;
}

json describe_cost(const DecoderConfig& model, int64_t length, int64_t element_bytes) {
  json result = {{"length", length}};
  add_context(result, "full", context_cost(model, length, element_bytes));
  return result;
}

json describe_cost(const DecoderConfig& model,
                   const CompressorShape& compressor,
                   int64_t length,
                   int64_t element_bytes) {
  const CompressionCost cost = compression_cost(model, compressor, length, element_bytes);
  json result = {{"length", length},
                 {"parameters", cost.parameters},
                 {"compress_flops", cost.compress_flops},
                 {"adapter_flops", cost.adapter_flops},
                 {"memory_tokens", cost.memory_tokens},
                 {"memory_bytes", cost.memory_bytes}};
  add_context(result, "full", cost.full);
  add_context(result, "memory", cost.memory);
  return result;
}

// Which compressor to use with a model, in five lines.
std::vector<std::string> which_compressor(const DecoderConfig& model, int64_t element_bytes) {
  const int64_t embedding = model.hidden_size * element_bytes;
  const int64_t cached = 2 * model.num_layers * model.num_kv_heads * model.head_dim * element_bytes;
  return {
      "attention_matching (the default) is the first choice: no training, any model; the model "
      "reads the text twice",
      "start at --ratio 2 for questions about the text and at --ratio 4 (the default) for its "
      "continuation",
      "kvzip (--compressor kvzip) keeps keys and values as the model computed them, without a fit: "
      "a little faster, and less is recovered at 4x and above",
      "trained compressors (gisting, selfcp, icae, ic-former) serve one model each: use one only "
      "if you have it for exactly this model",
      concat("selfcp, icae and ic-former make embeddings, which can stand anywhere in a prompt and "
             "take ",
             embedding,
             " bytes a memory token on disk; keys and values (attention_matching, kvzip, gisting) "
             "take ",
             cached)};
}

// --length, or as much as is read in one pass and can be counted.
int64_t length_of(const Flags& flags, int64_t max_segment) {
  return flags.length.value_or(std::min(max_segment, kLongestText));
}

// None for a method that does not say what it computes.
std::optional<CompressorShape> known_shape(const std::filesystem::path& directory) {
  try {
    return read_compressor_shape(directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    return std::nullopt;
  }
}

// The shape of the engine's compressor, which was asked for by this directory or name.
std::optional<CompressorShape> shape_of(const std::filesystem::path& asked, const Engine& engine) {
  const std::filesystem::path compressor = asked.empty() ? kDefaultCompressor : asked;
  if (std::filesystem::exists(compressor)) return known_shape(compressor);
  const CompressorMethod* method = find_compressor_method(compressor.string());
  if (method == nullptr || !method->sizing) return std::nullopt;
  const Tokenizer* tokenizer = tokenizer_of(engine);
  return CompressorShape{method->name,
                         method->sizing->plan({}, engine.decoder().config(), tokenizer).sizes};
}

json info_of_files(const Flags& flags) {
  const Engine engine = flags.model.load();
  const Decoder& decoder = engine.decoder();
  const CompressorInfo info = engine.compressor()->info();
  const auto element_bytes = static_cast<int64_t>(decoder.options().dtype().itemsize());
  const std::filesystem::path& asked = flags.model.engine.compressor;
  json result = {
      {"model", describe(decoder)}, {"compressor", describe(info)}, {"threads", engine.threads()}};
  if (const auto shape = shape_of(asked, engine)) {
    result["cost"] =
        describe_cost(decoder.config(), *shape, length_of(flags, info.max_segment), element_bytes);
  }
  if (asked.empty()) result["advice"] = which_compressor(decoder.config(), element_bytes);
  return result;
}

json info_of_shapes(const Flags& flags) {
  const DecoderConfig model = model_shape(flags.shape);
  const bool wide = flags.model.dtype == "float32";
  const int64_t element_bytes = wide ? 4 : 2;
  json result = {{"model", describe(model)}};
  result["model"]["parameters"] = count_parameters(model);
  result["model"]["dtype"] = wide ? "float32" : "bfloat16";
  if (flags.compressor.method.empty()) {
    if (flags.length) result["cost"] = describe_cost(model, *flags.length, element_bytes);
    result["advice"] = which_compressor(model, element_bytes);
    return result;
  }
  const CompressorMethod& method = checked_method(flags.compressor);
  const PlannedCompressor plan = plan_compressor(flags.compressor, flags.shape, model);
  result["compressor"] = describe_plan(method, plan);
  result["cost"] = describe_cost(
      model, {method.name, plan.sizes}, length_of(flags, plan.max_segment), element_bytes);
  return result;
}

void check_flags(const Flags& flags) {
  PRECIS_CHECK(!flags.model.engine.model.empty() || !flags.shape.empty(),
               kInvalidArgument,
               "info: give --model or --shape");
  if (!flags.compressor.method.empty()) checked_method(flags.compressor);
}

CLI::Option* add_shape_option(CLI::App& command, std::string& shape) {
  CLI::Option* option = command.add_option(
      "--shape",
      shape,
      "in place of --model: llama-2-7b, llama-2-13b, mistral-7b, smollm2-135m, qwen2.5-0.5b, a "
      "config.json, or a model whose weights are not to be read; bfloat16 unless --dtype float32");
  for (const char* other : {"--model", "--compressor", "--device"})
    option->excludes(command.get_option(other));
  return option;
}

// The result on standard output, the advice once more on standard error, for people.
void tell(const json& result) {
  print(result);
  const auto advice = result.find("advice");
  if (advice == result.end()) return;
  for (const json& line : *advice) std::cerr << "precis: " << line.get<std::string>() << std::endl;
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("info", "What a model and a compressor are and cost, as JSON");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "auto");
  command->get_option("--model")->required(false);
  CLI::Option* shape = add_shape_option(*command, flags->shape);
  add_shape_flags(*command, flags->compressor, shape);
  command->add_option(
      "--length",
      flags->length,
      "text tokens that costs are of (default: what a compressor reads in one pass)");
  command->callback([flags] {
    check_flags(*flags);
    tell(flags->shape.empty() ? info_of_files(*flags) : info_of_shapes(*flags));
  });
}

}  // namespace precis::cli
