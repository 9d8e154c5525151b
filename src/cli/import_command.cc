// SPDX-License-Identifier: Apache-2.0
// precis import: weights of published layouts as a compressor directory.
#include <c10/core/GradMode.h>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "compressors/selfcp.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions base;
  std::string from;
  std::filesystem::path source, out;
  SelfCpConfig selfcp;
  int64_t separator =
      3;  // what SelfCP's own code puts there: byte piece 0x00 of Llama's vocabulary
};

// Keys connector.weight, connector.bias, tag_embedding, and norm.weight, norm.bias unless the
// variant has no LayerNorm.
std::unique_ptr<Compressor> import_selfcp(const Flags& flags, const Decoder& decoder) {
  const Weights source(safetensors_file_weights(flags.source), at::kFloat);
  const int64_t hidden = decoder.config().hidden_size;
  SelfCpConfig config = flags.selfcp;
  if (flags.separator >= 0) config.separator = flags.separator;
  config.layer_norm = source.has("norm.weight") || source.has("norm.bias");
  SelfCpWeights weights;
  weights.connector_weight = source.take("connector.weight", {hidden, hidden});
  weights.connector_bias = source.take("connector.bias", {hidden});
  weights.tag_embedding = source.take("tag_embedding", {hidden});
  if (config.layer_norm) {
    weights.norm_weight = source.take("norm.weight", {hidden});
    weights.norm_bias = source.take("norm.bias", {hidden});
  }
  const auto unread = source.unread();
  PRECIS_CHECK(
      unread.empty(), kBadWeights, flags.source.string(), ": surplus tensor ", unread.front());
  PRECIS_CHECK(!config.separator || *config.separator < decoder.config().vocab_size,
               kInvalidArgument,
               "import: separator ",
               flags.separator,
               " is outside the vocabulary of ",
               decoder.config().vocab_size);
  return make_selfcp(config, std::move(weights), decoder);
}

void run(const Flags& flags) {
  PRECIS_CHECK(flags.from == "selfcp",
               kUnsupported,
               "import: \"",
               flags.from,
               "\" is unknown (known: selfcp)");
  const c10::NoGradGuard no_grad;
  const Engine engine = flags.base.load();
  const auto compressor = import_selfcp(flags, engine.decoder());
  compressor->save(flags.out);
  print({{"method", flags.from},
         {"parameters", compressor->info().num_parameters},
         {"compressor", flags.out.string()}});
}

}  // namespace

void add_import(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("import", "Turn published weights into a compressor directory");
  auto flags = std::make_shared<Flags>();
  flags->base.dtype = "float32";
  command->add_option("--from", flags->from, "selfcp")->required();
  command->add_option("--source", flags->source, "safetensors file")->required();
  command->add_option("--base", flags->base.engine.model, "the model it was trained for")
      ->required();
  command->add_option("--out", flags->out, "compressor directory to write")->required();
  command->add_option("--ratio", flags->selfcp.ratio, "text tokens per memory token")
      ->capture_default_str();
  command->add_option("--max-segment", flags->selfcp.max_segment, "text tokens in one pass")
      ->capture_default_str();
  command
      ->add_option(
          "--separator", flags->separator, "id of the token read before the text; -1: none")
      ->capture_default_str();
  add_dtype_and_device(*command, flags->base);
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
