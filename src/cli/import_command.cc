// SPDX-License-Identifier: Apache-2.0
// precis import: weights of published layouts as a compressor directory.
#include <c10/core/GradMode.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/nearest.h"
#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/import_gisting.h"
#include "cli/model_options.h"
#include "compressors/ic_former/import_ic_former.h"
#include "compressors/icae/import_icae.h"
#include "compressors/parameters.h"
#include "compressors/selfcp/selfcp.h"
#include "io/safetensors_weights.h"
#include "io/translate_errors.h"

namespace precis::cli {
namespace {

const std::map<std::string, IcaeGeneration> kGenerations{{"none", IcaeGeneration::kNone},
                                                         {"llama", IcaeGeneration::kLlama},
                                                         {"mistral", IcaeGeneration::kMistral}};

struct Flags {
  ModelOptions base;
  std::string from;
  std::filesystem::path source, out;
  SelfCpConfig selfcp;
  IcaeImportOptions icae;
  GistingFlags gisting;
  std::optional<int64_t> max_segment;
  int64_t separator =
      3;  // what SelfCP's own code puts there: byte piece 0x00 of Llama's vocabulary
};

// Keys connector.weight, connector.bias, tag_embedding, and norm.weight, norm.bias unless the
// variant has no LayerNorm.
std::unique_ptr<Compressor> import_selfcp(const Flags& flags, const Decoder& decoder) {
  const Weights source(safetensors_file_weights(flags.source), parameter_options(decoder));
  const int64_t hidden = decoder.config().hidden_size;
  SelfCpConfig config = flags.selfcp;
  config.max_segment = flags.max_segment.value_or(config.max_segment);
  if (flags.separator >= 0) config.separator = flags.separator;
  config.layer_norm = source.has("norm.weight") || source.has("norm.bias");
  SelfCpWeights weights;
  weights.connector = take_connector(
      source, hidden, config.layer_norm ? ConnectorNorm::kLayerNorm : ConnectorNorm::kNone);
  weights.tag_embedding = source.take("tag_embedding", {hidden});
  source.check_all_taken();
  PRECIS_CHECK(!config.separator || *config.separator < decoder.config().vocab_size,
               kInvalidArgument,
               "import: separator ",
               flags.separator,
               " is outside the vocabulary of ",
               decoder.config().vocab_size);
  return make_selfcp(config, std::move(weights), decoder);
}

std::unique_ptr<Compressor> import_icae_of(const Flags& flags, const Engine& engine) {
  IcaeImportOptions options = flags.icae;
  options.max_segment = flags.max_segment;
  return import_icae(flags.source, engine.decoder(), options);
}

// The texts of the released scripts, each tokenized on its own without a BOS of its own. There
// "Prompt: " and the question are one text; here the space is the one that Llama's tokenizers put
// before a question that is tokenized on its own.
IcFormerTemplate ic_former_template(const Tokenizer& tokenizer) {
  const auto ids = [&](const char* text) {
    const TextRun run{text, /*trusted=*/true};
    return tokenizer.encode_runs({&run, 1});
  };
  IcFormerTemplate instruct;
  instruct.before = ids("<s>[INST] Response the Prompt based on the below text:\n\n");
  instruct.after = ids("\n\nPrompt:");
  instruct.end = ids("[/INST]");
  return instruct;
}

std::unique_ptr<Compressor> import_ic_former_of(const Flags& flags, const Engine& engine) {
  IcFormerImportOptions options;
  options.max_segment = flags.max_segment.value_or(options.max_segment);
  options.instruct = ic_former_template(engine.tokenizer());
  return import_ic_former(flags.source, engine.decoder(), options);
}

std::unique_ptr<Compressor> import_selfcp_of(const Flags& flags, const Engine& engine) {
  return import_selfcp(flags, engine.decoder());
}

// Flags that only one method has.
const std::map<std::string, std::string> kMethodOfFlag{{"--ratio", "selfcp"},
                                                       {"--separator", "selfcp"},
                                                       {"--alpha", "icae"},
                                                       {"--generation", "icae"},
                                                       {"--memory-tokens", "gisting"},
                                                       {"--no-input", "gisting"},
                                                       {"--check-sum", "gisting"}};

void check_flags(const CLI::App& command, const Flags& flags) {
  for (const auto& [flag, method] : kMethodOfFlag) {
    PRECIS_CHECK(command.count(flag) == 0 || flags.from == method,
                 kInvalidArgument,
                 "import: ",
                 flag,
                 " is of ",
                 method,
                 ", not of ",
                 flags.from);
  }
  PRECIS_CHECK(flags.separator >= -1,
               kInvalidArgument,
               "import: --separator is ",
               flags.separator,
               ", expected an id, or -1 for none");
}

using Import = std::unique_ptr<Compressor> (*)(const Flags&, const Engine&);
const std::map<std::string, Import> kImports{
    {"selfcp", import_selfcp_of}, {"icae", import_icae_of}, {"ic-former", import_ic_former_of}};

void run_gisting(const Flags& flags) {
  GistingFlags gisting = flags.gisting;
  gisting.compressor.max_segment = flags.max_segment.value_or(gisting.compressor.max_segment);
  print(import_gisting(gisting,
                       {flags.source, flags.base.engine.model, flags.out, flags.base.dtype}));
}

void run(const Flags& flags, const CLI::App& command) {
  const c10::NoGradGuard no_grad;
  PRECIS_CHECK(!flags.out.empty(), kInvalidArgument, "import: --out is empty");
  const auto import = kImports.find(flags.from);
  PRECIS_CHECK(
      import != kImports.end() || flags.from == "gisting",
      kUnsupported,
      "import: \"",
      flags.from,
      "\" is unknown (known: selfcp, icae, ic-former, gisting)",
      did_you_mean(flags.from, std::vector<std::string>{"selfcp", "icae", "ic-former", "gisting"}));
  check_flags(command, flags);
  if (flags.from == "gisting") return run_gisting(flags);
  PRECIS_CHECK(!flags.base.engine.model.empty(),
               kInvalidArgument,
               "import: --base is required: the model that the weights were trained for");
  const Engine engine = flags.base.load();
  const auto compressor = import->second(flags, engine);
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
  command->add_option("--from", flags->from, "selfcp, icae, ic-former or gisting")->required();
  command
      ->add_option("--source",
                   flags->source,
                   "safetensors file; ic-former: its folder; gisting: the tuned model, or with "
                   "--base its difference to the base")
      ->required();
  command->add_option("--base",
                      flags->base.engine.model,
                      "the model it was trained for; gisting: only for a difference");
  command
      ->add_option("--out",
                   flags->out,
                   "compressor directory to write; gisting with --base: the tuned model in it, too")
      ->required();
  command->add_option("--ratio", flags->selfcp.ratio, "selfcp: text tokens per memory token")
      ->capture_default_str();
  command->add_option("--max-segment",
                      flags->max_segment,
                      "text tokens in one pass (default: 512; icae: four for each memory token)");
  command->add_option("--alpha", flags->icae.alpha, "icae: of the LoRA")->capture_default_str();
  command
      ->add_option("--generation",
                   flags->icae.generation,
                   "icae: llama (2023), mistral (2024) or none; default: by the base")
      ->transform(number_of(kGenerations));
  command
      ->add_option(
          "--separator", flags->separator, "selfcp: id of the token read before the text; -1: none")
      ->capture_default_str();
  add_gisting_flags(*command, flags->gisting);
  add_dtype_and_device(*command, flags->base);
  command->callback([flags, command] { translate_errors([&] { run(*flags, *command); }); });
}

}  // namespace precis::cli
