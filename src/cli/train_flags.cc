// SPDX-License-Identifier: Apache-2.0
#include "cli/train_flags.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "cli/method_flags.h"
#include "cli/trainer_flags.h"

namespace precis::cli {
namespace {

constexpr int64_t kValidateEvery = 100;  // steps, the default with --validation

// "NAME=WEIGHT" each; a name alone has a weight of 1.
ObjectiveWeights weights_of(const std::vector<std::string>& objectives) {
  ObjectiveWeights weights{0, 0, 0, 0};
  const std::map<std::string, double*> known{{"autoencode", &weights.autoencode},
                                             {"continue", &weights.continuation},
                                             {"instruct", &weights.instruct},
                                             {"distil", &weights.distil}};
  for (const std::string& text : objectives) {
    const size_t equals = std::min(text.find('='), text.size());
    const auto found = known.find(text.substr(0, equals));
    const bool weighted = equals < text.size();
    double weight = 1;
    PRECIS_CHECK(found != known.end() &&
                     (!weighted || CLI::detail::lexical_cast(text.substr(equals + 1), weight)),
                 kInvalidArgument,
                 "train: objective \"",
                 text,
                 "\", expected autoencode, continue, instruct or distil, with =WEIGHT or without");
    *found->second = weight;
  }
  return weights;
}

void add_data_flags(CLI::App& command, TrainFlags& flags) {
  command
      .add_option("--data",
                  flags.data,
                  "training data: JSON Lines, plain or .zst, with strings \"text\", or "
                  "\"context\", \"prompt\" and \"answer\"")
      ->required();
  command.add_option("--validation", flags.validation, "validation data, in the same format");
  command.add_flag("--chat", flags.chat, "instruct: ask in a turn of the model's chat template");
  command.add_option("--cache", flags.cache, "file that keeps the tokenised data");
}

void add_run_flags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--recipe",
                     flags.recipe,
                     "JSON object of flags, with or without \"stages\"; flags of the command line "
                     "override it");
  command
      .add_option("--objectives",
                  flags.objectives,
                  "autoencode, continue, instruct, distil, each with =WEIGHT or without")
      ->delimiter(',')
      ->capture_default_str();
  command.add_option("--out", flags.out, "directory for compressor, checkpoint and log.jsonl")
      ->required();
  command
      .add_option("--minutes",
                  flags.minutes,
                  "stop with a checkpoint after the first step that ends later than this many "
                  "minutes after the start; the same command resumes")
      ->check(CLI::PositiveNumber);
}

}  // namespace

void add_train_flags(CLI::App& command, TrainFlags& flags) {
  add_model_options(command, flags.model, CompressorUse::kNone, "auto");
  CLI::Option* method = command.add_option(
      "--method", flags.fresh.method, "of a new compressor: " + method_list(creation_settings));
  add_data_flags(command, flags);
  add_run_flags(command, flags);
  CLI::Option* start = command.add_option(
      "--start-from", flags.start, "compressor directory to train further, instead of --method");
  start->excludes(method);
  add_new_compressor_flags(command, flags.fresh, start);
  add_trainer_flags(command, flags.trainer, flags.accumulate);
}

const std::vector<std::string>& flags_not_in_recipe() {
  static const std::vector<std::string> flags{"--model",
                                              "--data",
                                              "--validation",
                                              "--out",
                                              "--start-from",
                                              "--cache",
                                              "--recipe",
                                              "--minutes",
                                              "--device"};
  return flags;
}

void check(const TrainFlags& flags) {
  PRECIS_CHECK(flags.model.weights != "int8" && flags.model.weights != "int4",
               kUnsupported,
               "train: compressors are trained over weights in float32 or bfloat16, not ",
               flags.model.weights);
  PRECIS_CHECK(flags.start.empty() != flags.fresh.method.empty(),
               kInvalidArgument,
               "train: give --method for a new compressor, or --start-from");
  weights_of(flags.objectives);
}

TrainerOptions trainer_options(const TrainFlags& flags) {
  TrainerOptions options = flags.trainer;
  options.accumulate =
      flags.accumulate.value_or(passes_for(options.batch, flags.model.device == "cuda"));
  if (!flags.validation.empty() && options.validate_every == 0)
    options.validate_every = kValidateEvery;
  options.examples.objectives = weights_of(flags.objectives);
  return options;
}

}  // namespace precis::cli
