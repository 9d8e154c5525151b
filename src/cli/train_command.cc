// SPDX-License-Identifier: Apache-2.0
// precis train: a compressor for one's own model and text.
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/new_compressor.h"
#include "cli/progress_bar.h"
#include "cli/recipe.h"
#include "cli/trainer_flags.h"
#include "cli/training_summary.h"
#include "io/safetensors.h"
#include "io/translate_errors.h"
#include "precis/extend/registry.h"
#include "train/chat_form.h"
#include "train/trainer.h"

namespace precis::cli {
namespace {

constexpr int64_t kValidateEvery = 100;  // steps, where none are said

struct Flags {
  ModelOptions model;
  NewCompressor fresh;
  TrainerOptions trainer;
  std::optional<int64_t> accumulate;
  std::vector<std::string> objectives{"continue"};
  bool chat = false;
  double minutes = std::numeric_limits<double>::infinity();
  std::filesystem::path data, validation, out, start, cache, recipe;
};

// What names files and machines.
const std::vector<std::string> kNotInRecipe{"--model",
                                            "--data",
                                            "--validation",
                                            "--out",
                                            "--start-from",
                                            "--cache",
                                            "--recipe",
                                            "--minutes",
                                            "--device"};

// "name=weight" each; a name alone has a weight of 1.
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

std::string note(const TrainingStep& step) {
  char text[96];
  std::snprintf(text,
                sizeof text,
                "step %lld loss %.3f, %.0f tokens/s",
                static_cast<long long>(step.step),
                step.smoothed_loss,
                static_cast<double>(step.tokens) / step.seconds);
  return text;
}

TokenDataset read_data(const std::filesystem::path& data,
                       const std::filesystem::path& cache,
                       const Tokenizer& tokenizer,
                       const PromptEncoder& encode_prompt) {
  ProgressBar bar("tokenizing");
  return TokenDataset::read(
      data, tokenizer, cache, [&](double done) { bar.update(done); }, encode_prompt);
}

// The compressor that training starts from: given, or new.
std::unique_ptr<Compressor> first_compressor(const Flags& flags, const Engine& engine) {
  const c10::NoGradGuard no_grad;
  if (flags.start.empty()) return create(flags.fresh, engine.decoder(), &engine.tokenizer());
  return load_compressor(flags.start, engine.decoder());
}

void check_stage(const Flags& flags) {
  PRECIS_CHECK(flags.model.weights != "int8" && flags.model.weights != "int4",
               kUnsupported,
               "train: compressors are trained over weights in float32 or bfloat16, not ",
               flags.model.weights);
  PRECIS_CHECK(flags.start.empty() != flags.fresh.method.empty(),
               kInvalidArgument,
               "train: give --method for a new compressor, or --start-from");
  weights_of(flags.objectives);
}

// One run of the trainer: its flags, and the command that they were given to.
struct Stage {
  CLI::App command{"", "train"};
  Flags flags;
  std::string name;       // of its progress bar
  nlohmann::json recipe;  // that its directory gets
};

void define_flags(CLI::App& command, Flags& flags);

// Trains on from what `previous` leaves, if there is one: what was said of a new compressor, and of
// one to start from, was said to the first stage.
std::unique_ptr<Stage> make_stage(const CLI::App& given,
                                  const nlohmann::json& recipe,
                                  const Flags& said,
                                  const Stage* previous) {
  auto stage = std::make_unique<Stage>();
  define_flags(stage->command, stage->flags);
  CLI::Option* start = stage->command.get_option("--start-from");
  if (previous != nullptr) {
    start->add_result(previous->flags.out.string());
    start->run_callback();
  }
  for (const CLI::Option* option : given.get_options()) {
    if (option->count() == 0) continue;
    CLI::Option* own = stage->command.get_option(option->get_name());
    if (previous != nullptr && (own == start || start->get_excludes().contains(own))) continue;
    give_again(*option, *own);
  }
  apply_recipe(stage->command, recipe, said.recipe, kNotInRecipe);
  check_stage(stage->flags);
  stage->recipe = recipe_of(stage->command, kNotInRecipe);
  return stage;
}

// All are made before the first one is run, so that a slip in the last is found at once. The last
// one's compressor is the command's, the others' stand in directories below it.
std::vector<std::unique_ptr<Stage>> stages_of(const Flags& flags, const CLI::App& command) {
  std::vector<nlohmann::json> recipes{nlohmann::json::object()};
  if (!flags.recipe.empty()) recipes = read_recipe(flags.recipe);
  std::vector<std::unique_ptr<Stage>> stages;
  nlohmann::json all = nlohmann::json::array();
  for (size_t i = 0; i < recipes.size(); ++i) {
    const Stage* previous = stages.empty() ? nullptr : stages.back().get();
    Stage& stage = *stages.emplace_back(make_stage(command, recipes[i], flags, previous));
    stage.name = recipes.size() == 1 ? "training" : concat("stage ", i + 1, " of ", recipes.size());
    if (i + 1 < recipes.size()) stage.flags.out = flags.out / concat("stage-", i + 1);
    check_output_directory(stage.flags.out);
    all.push_back(stage.recipe);
  }
  if (all.size() > 1) stages.back()->recipe = {{"stages", all}};
  return stages;
}

using GoOn = std::function<bool()>;

TrainingOutcome run(Stage& stage, const GoOn& continuation) {
  Flags& flags = stage.flags;
  flags.trainer.accumulate =
      flags.accumulate.value_or(passes_for(flags.trainer.batch, flags.model.device == "cuda"));
  if (!flags.validation.empty() && flags.trainer.validate_every == 0)
    flags.trainer.validate_every = kValidateEvery;
  flags.trainer.examples.objectives = weights_of(flags.objectives);
  if (!flags.cache.empty()) check_can_be_written(flags.cache);
  const Engine engine = flags.model.load();
  ExampleOptions& examples = flags.trainer.examples;
  flags.fresh.seed = examples.seed;
  const SpecialTokens& special = engine.tokenizer().special_tokens();
  examples.end_id = special.eos;
  if (special.add_bos) examples.bos_id = special.bos;
  const std::unique_ptr<Compressor> compressor = first_compressor(flags, engine);
  std::optional<ChatForm> chat;
  PromptEncoder encode_prompt;
  if (flags.chat) {
    chat.emplace(flags.model.engine.model, engine.tokenizer());
    examples.chat = chat->before();
    examples.answer_end_id = chat->end();
    encode_prompt = [&](const std::string& prompt) { return chat->after(prompt); };
  }
  const TokenDataset data = read_data(flags.data, flags.cache, engine.tokenizer(), encode_prompt);
  std::optional<TokenDataset> validation;
  if (!flags.validation.empty())
    validation = read_data(flags.validation, {}, engine.tokenizer(), encode_prompt);
  ProgressBar bar(stage.name, ProgressBar::Elsewhere::kLines);
  const auto share = [&](int64_t step) {
    return static_cast<double>(step) / static_cast<double>(flags.trainer.last_step());
  };
  TrainingOutcome outcome;
  outcome.step = flags.trainer.last_step();
  outcome.options = flags.trainer;
  outcome.directory = flags.out;
  outcome.name = stage.name;
  train(*compressor,
        engine.decoder(),
        {data, validation ? &*validation : nullptr},
        flags.trainer,
        flags.out,
        [&](const TrainingStep& step) {
          if (!outcome.last) {
            write_text_file(flags.out / "recipe.json", stage.recipe.dump(2) + "\n");
            bar.begin(share(step.step - 1), step.seconds);
          }
          outcome.last = step;
          outcome.step = step.step;
          if (step.validation_loss) outcome.tested = step;
          bar.update(share(step.step), note(step));
          return continuation();
        });
  return outcome;
}

void run_all(const Flags& flags, const CLI::App& command) {
  const auto start = std::chrono::steady_clock::now();
  PRECIS_CHECK(!std::isnan(flags.minutes), kInvalidArgument, "train: --minutes is not a number");
  const auto time_is_left = [&] {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    return spent.count() < flags.minutes * 60;
  };
  const std::vector<std::unique_ptr<Stage>> stages = stages_of(flags, command);
  nlohmann::json result;
  TrainingOutcome outcome;
  for (size_t i = 0; i < stages.size(); ++i) {
    outcome = run(*stages[i], time_is_left);
    outcome.all_stages = i + 1 == stages.size();
    result = in_json(outcome);
    if (stages.size() > 1) result["stage"] = i + 1;
    if (outcome.last && !time_is_left()) break;
  }
  print(result);
  std::cerr << in_words(outcome) << std::flush;
}

void define_flags(CLI::App& command, Flags& flags) {
  add_model_options(command, flags.model, CompressorUse::kNone, "auto");
  CLI::Option* method = command.add_option(
      "--method", flags.fresh.method, "of a new compressor: selfcp, icae, gisting or ic-former");
  command
      .add_option(
          "--data",
          flags.data,
          "JSON Lines, plain or zstd, with strings \"text\", or \"context\", \"prompt\" and "
          "\"answer\"")
      ->required();
  command.add_option("--validation", flags.validation, "the same, to be validated with");
  command.add_flag("--chat", flags.chat, "instruct: inside a turn of the model's chat");
  command.add_option("--cache", flags.cache, "file to keep the tokenised data in");
  command.add_option("--recipe",
                     flags.recipe,
                     "JSON object of flags, with or without \"stages\"; those given here go first");
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
                  "stop with a checkpoint after the first step that ends later than so long after "
                  "the start; the same command goes on")
      ->check(CLI::PositiveNumber);
  CLI::Option* start = command.add_option(
      "--start-from", flags.start, "compressor directory to train further, in place of --method");
  start->excludes(method);
  add_new_compressor_flags(command, flags.fresh, start);
  add_trainer_flags(command, flags.trainer, flags.accumulate);
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train", "Train a compressor; run it again to go on from its checkpoint");
  auto flags = std::make_shared<Flags>();
  define_flags(*command, *flags);
  command->callback([flags, command] { translate_errors([&] { run_all(*flags, *command); }); });
}

}  // namespace precis::cli
