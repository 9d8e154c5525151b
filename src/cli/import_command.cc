// SPDX-License-Identifier: Apache-2.0
// precis import: weights of published layouts as a compressor directory.
#include <c10/core/GradMode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/import_gisting.h"
#include "cli/method_flags.h"
#include "cli/model_options.h"
#include "io/lock_file.h"
#include "io/translate_errors.h"
#include "precis/extend/compressor_method.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions base;
  std::string from;
  std::filesystem::path source, out;
  CompressorSettings settings;
  std::optional<double> check_sum;
};

// The methods that have this flag: "selfcp or icae".
std::string owners_of(const std::string& flag) {
  std::string owners;
  for (const std::string& name : method_names(import_settings)) {
    const CompressorMethod& method = *find_method(name, import_settings);
    const auto has = [&](const SettingFlag& own) { return flag_of(own.name) == flag; };
    if (std::ranges::any_of(method.importing->flags, has))
      owners += concat(owners.empty() ? "" : " or ", name);
  }
  return owners;
}

void check_flags(const Flags& flags, const CompressorMethod& method) {
  const auto refuse = [&](const std::string& flag, const std::string& owners) {
    fail(ErrorKind::kInvalidArgument, "import: ", flag, " is of ", owners, ", not of ", flags.from);
  };
  if (const auto foreign = foreign_flag(flags.settings, method, import_settings))
    refuse(*foreign, owners_of(*foreign));
  if (flags.check_sum && !method.importing->source_is_model) refuse("--check-sum", "gisting");
}

void run(const Flags& flags) {
  const c10::NoGradGuard no_grad;
  PRECIS_CHECK(!flags.out.empty(), kInvalidArgument, "import: --out is empty");
  const CompressorMethod& method =
      known_method(flags.from, import_settings, ErrorKind::kUnsupported, "import:");
  check_flags(flags, method);
  if (method.importing->source_is_model) {
    print(import_gisting(flags.settings,
                         flags.check_sum,
                         {flags.source, flags.base.engine.model, flags.out, flags.base.dtype}));
    return;
  }
  PRECIS_CHECK(!flags.base.engine.model.empty(),
               kInvalidArgument,
               "import: --base is required: the model that the weights were trained for");
  const Engine engine = flags.base.load();
  const auto compressor =
      method.importing->read(flags.source, flags.settings, engine.decoder(), tokenizer_of(engine));
  const LockFile lock = lock_directory(flags.out);
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
  command->add_option("--from", flags->from, method_list(import_settings))->required();
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
  add_method_flags(*command, import_settings, flags->settings);
  add_check_sum(*command, flags->check_sum);
  add_dtype_and_device(*command, flags->base);
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
