// SPDX-License-Identifier: Apache-2.0
// precis info: what a model and a compressor are and what they cost, from their files or from
// shapes alone.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "precis/compressor.h"
#include "precis/cost.h"
#include "precis/decoder.h"
#include "precis/shapes.h"

namespace precis::cli {
namespace {

using nlohmann::json;

// IC-Former was published for one width, whatever the model's own MLP.
constexpr int64_t kPublishedWidth = 4096;
// The most that precis/cost.h counts.
constexpr int64_t kLongestText = int64_t{1} << 24;

struct Flags {
  ModelOptions model;
  std::string shape, method;
  std::optional<int64_t> length, slots, rank, max_segment, layers, ffn_size;
  std::optional<double> ratio;
  bool tuned = false;
};

// What each method's shape can be asked for.
const std::map<std::string, std::vector<std::string>> kFlagsOf{
    {"selfcp", {"--ratio", "--max-segment"}},
    {"icae", {"--slots", "--rank", "--max-segment"}},
    {"gisting", {"--slots", "--ratio", "--rank", "--tuned", "--max-segment"}},
    {"ic-former", {"--slots", "--layers", "--ffn-size", "--max-segment"}}};
const std::vector<std::string> kMethodFlags{
    "--slots", "--rank", "--ratio", "--tuned", "--layers", "--ffn-size", "--max-segment"};

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

json describe(const SelfCpShape& shape) {
  return {{"method", "selfcp"}, {"ratio", shape.ratio}, {"max_segment", shape.max_segment}};
}

json describe(const IcaeShape& shape) {
  return {{"method", "icae"},
          {"slots", shape.slots},
          {"rank", shape.rank},
          {"max_segment", shape.max_segment}};
}

json describe(const GistingShape& shape) {
  json result = {{"method", "gisting"},
                 {"form", shape.tuned ? "tuned" : "frozen"},
                 {"slots", shape.ratio ? 0 : shape.num_gists},
                 {"max_segment", shape.max_segment}};
  if (!shape.tuned) result["rank"] = shape.rank;
  if (shape.ratio) result["ratio"] = *shape.ratio;
  if (!shape.tuned) result["gist_positions"] = shape.spread ? "spread" : "after";
  return result;
}

json describe(const IcFormerShape& shape) {
  return {{"method", "ic_former"},
          {"slots", shape.slots},
          {"layers", shape.num_layers},
          {"ffn_size", shape.ffn_size},
          {"max_segment", shape.max_segment}};
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

// --length, or the longest part that can be counted.
int64_t length_of(const Flags& flags, int64_t max_segment) {
  return flags.length.value_or(std::min(max_segment, kLongestText));
}

// None for a method that was registered from outside.
std::optional<CompressorShape> built_in_shape(const std::filesystem::path& directory) {
  try {
    return read_compressor_shape(directory);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
    return std::nullopt;
  }
}

json info_of_files(const Flags& flags) {
  const Engine engine = flags.model.load();
  const DecoderConfig& config = engine.decoder().config();
  const auto element_bytes = static_cast<int64_t>(engine.decoder().options().dtype().itemsize());
  json result = {{"model", describe(engine.decoder())}};
  if (engine.compressor() == nullptr) {
    if (flags.length) result["cost"] = describe_cost(config, *flags.length, element_bytes);
    return result;
  }
  const CompressorInfo info = engine.compressor()->info();
  result["compressor"] = describe(info);
  if (const auto shape = built_in_shape(flags.model.engine.compressor)) {
    result["cost"] =
        describe_cost(config, *shape, length_of(flags, info.max_segment), element_bytes);
  }
  return result;
}

SelfCpShape selfcp_shape(const Flags& flags) {
  SelfCpShape shape;
  shape.ratio = flags.ratio.value_or(shape.ratio);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

IcaeShape icae_shape(const Flags& flags) {
  IcaeShape shape;
  shape.slots = flags.slots.value_or(shape.slots);
  shape.rank = flags.rank.value_or(shape.rank);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

GistingShape gisting_shape(const Flags& flags) {
  PRECIS_CHECK(!flags.tuned || !flags.rank,
               kInvalidArgument,
               "info: --rank is of gisting's frozen form, --tuned asks for the other");
  PRECIS_CHECK(!flags.ratio || (!flags.tuned && !flags.slots),
               kInvalidArgument,
               "info: --ratio is of gisting's frozen form, and stands in place of --slots");
  GistingShape shape;
  shape.ratio = flags.ratio;
  shape.spread = flags.ratio.has_value();  // as `train` makes them
  shape.num_gists = flags.slots.value_or(shape.num_gists);
  shape.tuned = flags.tuned;
  shape.rank = flags.tuned ? 0 : flags.rank.value_or(shape.rank);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

IcFormerShape ic_former_shape(const Flags& flags, const DecoderConfig& model) {
  IcFormerShape shape;
  if (model.hidden_size != kPublishedWidth) shape.ffn_size = model.ffn_size;
  shape.slots = flags.slots.value_or(shape.slots);
  shape.num_layers = flags.layers.value_or(shape.num_layers);
  shape.ffn_size = flags.ffn_size.value_or(shape.ffn_size);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

CompressorShape compressor_shape(const Flags& flags, const DecoderConfig& model) {
  if (flags.method == "selfcp") return selfcp_shape(flags);
  if (flags.method == "icae") return icae_shape(flags);
  if (flags.method == "gisting") return gisting_shape(flags);
  return ic_former_shape(flags, model);
}

json info_of_shapes(const Flags& flags) {
  const DecoderConfig model = model_shape(flags.shape);
  const bool wide = flags.model.dtype == "float32";
  const int64_t element_bytes = wide ? 4 : 2;
  json result = {{"model", describe(model)}};
  result["model"]["parameters"] = count_parameters(model);
  result["model"]["dtype"] = wide ? "float32" : "bfloat16";
  if (flags.method.empty()) {
    if (flags.length) result["cost"] = describe_cost(model, *flags.length, element_bytes);
    return result;
  }
  const CompressorShape shape = compressor_shape(flags, model);
  const int64_t max_segment = std::visit([](const auto& s) { return s.max_segment; }, shape);
  result["compressor"] = std::visit([](const auto& s) { return describe(s); }, shape);
  result["cost"] = describe_cost(model, shape, length_of(flags, max_segment), element_bytes);
  return result;
}

void check_flags(const CLI::App& command, const Flags& flags) {
  PRECIS_CHECK(!flags.model.engine.model.empty() || !flags.shape.empty(),
               kInvalidArgument,
               "info: give --model or --shape");
  if (flags.method.empty()) return;
  const auto known = kFlagsOf.find(flags.method);
  PRECIS_CHECK(known != kFlagsOf.end(),
               kInvalidArgument,
               "info: method \"",
               flags.method,
               "\" is unknown (known: selfcp, icae, gisting, ic-former)");
  for (const std::string& flag : kMethodFlags) {
    const auto& taken = known->second;
    PRECIS_CHECK(
        command.count(flag) == 0 || std::find(taken.begin(), taken.end(), flag) != taken.end(),
        kInvalidArgument,
        "info: ",
        flag,
        " says nothing of ",
        flags.method);
  }
}

void add_shape_options(CLI::App& command, Flags& flags) {
  CLI::Option* shape = command.add_option(
      "--shape",
      flags.shape,
      "in place of --model: llama-2-7b, llama-2-13b, mistral-7b, smollm2-135m, qwen2.5-0.5b, a "
      "config.json, or a model whose weights are not to be read; bfloat16 unless --dtype float32");
  for (const char* other : {"--model", "--compressor", "--device"})
    shape->excludes(command.get_option(other));
  CLI::Option* method =
      command.add_option("--method", flags.method, "selfcp, icae, gisting or ic-former")
          ->needs(shape);
  command.add_option("--slots", flags.slots, "memory tokens of a part; gisting: gists");
  command.add_option("--rank", flags.rank, "icae, gisting: of the LoRA");
  command.add_option("--ratio", flags.ratio, "selfcp, gisting: text tokens per memory token");
  command.add_flag("--tuned", flags.tuned, "gisting: the form whose model was itself trained");
  command.add_option("--layers", flags.layers, "ic-former: of its net");
  command.add_option("--ffn-size", flags.ffn_size, "ic-former: of its net");
  command.add_option("--max-segment", flags.max_segment, "text tokens of a part");
  for (const std::string& flag : kMethodFlags) command.get_option(flag)->needs(method);
}

}  // namespace

void add_info(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("info", "What a model and a compressor are and cost, as JSON");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kOptional, "auto");
  command->get_option("--model")->required(false);
  add_shape_options(*command, *flags);
  command->add_option("--length",
                      flags->length,
                      "text tokens that costs are of (default: the longest part of a compressor)");
  command->callback([command, flags] {
    check_flags(*command, *flags);
    print(flags->shape.empty() ? info_of_files(*flags) : info_of_shapes(*flags));
  });
}

}  // namespace precis::cli
