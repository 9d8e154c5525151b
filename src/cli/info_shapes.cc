// SPDX-License-Identifier: Apache-2.0
#include "cli/info_shapes.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "base/check.h"
#include "base/nearest.h"
#include "cli/choices.h"
#include "tokenizers/load_tokenizer.h"

namespace precis::cli {
namespace {

using nlohmann::json;

// IC-Former was published for one width, whatever the model's own MLP.
constexpr int64_t kPublishedWidth = 4096;

// What each method's shape can be asked for.
const std::map<std::string, std::vector<std::string>> kFlagsOf{
    {"selfcp", {"--ratio", "--max-segment"}},
    {"icae", {"--slots", "--rank", "--max-segment"}},
    {"gisting", {"--slots", "--ratio", "--rank", "--tuned", "--max-segment"}},
    {"ic-former", {"--slots", "--layers", "--ffn-size", "--max-segment"}},
    {"attention_matching", {"--ratio", "--max-segment"}},
    {"kvzip", {"--ratio", "--max-segment"}}};
constexpr const char* kMethods = "selfcp, icae, gisting, ic-former, attention_matching or kvzip";
const std::vector<std::string> kMethodFlags{
    "--slots", "--rank", "--ratio", "--tuned", "--layers", "--ffn-size", "--max-segment"};

SelfCpShape selfcp_shape(const ShapeFlags& flags) {
  SelfCpShape shape;
  shape.ratio = flags.ratio.value_or(shape.ratio);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

IcaeShape icae_shape(const ShapeFlags& flags) {
  IcaeShape shape;
  shape.slots = flags.slots.value_or(shape.slots);
  shape.rank = flags.rank.value_or(shape.rank);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

GistingShape gisting_shape(const ShapeFlags& flags) {
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

IcFormerShape ic_former_shape(const ShapeFlags& flags, const DecoderConfig& model) {
  IcFormerShape shape;
  if (model.hidden_size != kPublishedWidth) shape.ffn_size = model.ffn_size;
  shape.slots = flags.slots.value_or(shape.slots);
  shape.num_layers = flags.layers.value_or(shape.num_layers);
  shape.ffn_size = flags.ffn_size.value_or(shape.ffn_size);
  shape.max_segment = flags.max_segment.value_or(shape.max_segment);
  return shape;
}

bool has_files(const std::filesystem::path& model) {
  std::error_code ignored;
  return std::filesystem::is_directory(model, ignored) || model.extension() == ".gguf";
}

// Null: there is none.
std::unique_ptr<Tokenizer> tokenizer_of(const std::filesystem::path& model) {
  if (!has_files(model)) return nullptr;
  try {
    return load_tokenizer(model);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;
    return nullptr;
  }
}

SelectionShape selection_shape(const ShapeFlags& flags,
                               const std::string& model_name,
                               const DecoderConfig& model) {
  PRECIS_CHECK(!flags.max_segment || *flags.max_segment >= 1,
               kInvalidArgument,
               "info: max_segment is ",
               *flags.max_segment,
               ", expected at least 1");
  SelectionShape shape = built_in_shape(flags.method, tokenizer_of(model_name).get());
  shape.ratio = flags.ratio.value_or(shape.ratio);
  shape.max_segment = flags.max_segment.value_or(0);
  shape.max_segment = longest_part(shape, model);
  return shape;
}

json description(const SelfCpShape& shape) {
  return {{"method", "selfcp"}, {"ratio", shape.ratio}, {"max_segment", shape.max_segment}};
}

json description(const IcaeShape& shape) {
  return {{"method", "icae"},
          {"slots", shape.slots},
          {"rank", shape.rank},
          {"max_segment", shape.max_segment}};
}

json description(const GistingShape& shape) {
  json result = {{"method", "gisting"},
                 {"form", shape.tuned ? "tuned" : "frozen"},
                 {"slots", shape.ratio ? 0 : shape.num_gists},
                 {"max_segment", shape.max_segment}};
  if (!shape.tuned) result["rank"] = shape.rank;
  if (shape.ratio) result["ratio"] = *shape.ratio;
  if (!shape.tuned) result["gist_positions"] = shape.spread ? "spread" : "after";
  return result;
}

json description(const IcFormerShape& shape) {
  json result = {{"method", "ic_former"},
                 {"slots", shape.slots},
                 {"layers", shape.num_layers},
                 {"ffn_size", shape.ffn_size},
                 {"max_segment", shape.max_segment}};
  if (shape.query_heads_per_key > 1) result["query_heads_per_key"] = shape.query_heads_per_key;
  return result;
}

json description(const SelectionShape& shape) {
  const bool kvzip = shape.method == SelectionShape::Method::kKvZip;
  return {{"method", kvzip ? "kvzip" : "attention_matching"},
          {"ratio", shape.ratio},
          {"max_segment", shape.max_segment}};
}

}  // namespace

CompressorShape compressor_shape(const ShapeFlags& flags,
                                 const std::string& model_name,
                                 const DecoderConfig& model) {
  if (flags.method == "selfcp") return selfcp_shape(flags);
  if (flags.method == "icae") return icae_shape(flags);
  if (flags.method == "gisting") return gisting_shape(flags);
  if (flags.method == "ic-former") return ic_former_shape(flags, model);
  return selection_shape(flags, model_name, model);
}

json describe_shape(const CompressorShape& shape) {
  return std::visit([](const auto& one) { return description(one); }, shape);
}

void check_shape_flags(const CLI::App& command, const ShapeFlags& flags) {
  if (flags.method.empty()) return;
  const auto known = kFlagsOf.find(flags.method);
  PRECIS_CHECK(known != kFlagsOf.end(),
               kInvalidArgument,
               "info: method \"",
               flags.method,
               "\" is unknown (known: ",
               kMethods,
               ")",
               did_you_mean(flags.method, names_of(kFlagsOf)));
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

void add_shape_flags(CLI::App& command, ShapeFlags& flags, CLI::Option* shape) {
  CLI::Option* method = command.add_option("--method", flags.method, kMethods)->needs(shape);
  command.add_option("--slots", flags.slots, "memory tokens of a part; gisting: gists");
  command.add_option("--rank", flags.rank, "icae, gisting: of the LoRA");
  command.add_option("--ratio",
                     flags.ratio,
                     "selfcp, gisting, attention_matching, kvzip: text tokens per memory token");
  command.add_flag("--tuned", flags.tuned, "gisting: the form whose model was itself trained");
  command.add_option("--layers", flags.layers, "ic-former: of its net");
  command.add_option("--ffn-size", flags.ffn_size, "ic-former: of its net");
  command.add_option("--max-segment", flags.max_segment, "text tokens of a part");
  for (const std::string& flag : kMethodFlags) command.get_option(flag)->needs(method);
}

}  // namespace precis::cli
