// SPDX-License-Identifier: Apache-2.0
// precis train: a compressor for one's own model and text.
#include <c10/core/GradMode.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/new_compressor.h"
#include "cli/progress_bar.h"
#include "io/translate_errors.h"
#include "precis/registry.h"
#include "train/trainer.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  NewCompressor fresh;
  TrainerOptions trainer;
  std::filesystem::path data, out, start;
};

std::string note(const TrainingStep& step, double smoothed) {
  char text[96];
  std::snprintf(text,
                sizeof text,
                "step %lld loss %.3f, %.0f tokens/s",
                static_cast<long long>(step.step),
                smoothed,
                static_cast<double>(step.tokens) / step.seconds);
  return text;
}

TextDataset read_data(const Flags& flags, const Tokenizer& tokenizer) {
  ProgressBar bar("tokenizing");
  return TextDataset::read(flags.data, tokenizer, [&](double done) { bar.update(done); });
}

// The compressor that training starts from: given, or new.
std::unique_ptr<Compressor> first_compressor(const Flags& flags, const Engine& engine) {
  const c10::NoGradGuard no_grad;
  if (flags.start.empty()) return create(flags.fresh, engine);
  return load_compressor(flags.start, engine.decoder());
}

void run(Flags& flags) {
  PRECIS_CHECK(flags.start.empty() != flags.fresh.method.empty(),
               kInvalidArgument,
               "train: give --method for a new compressor, or --start-from");
  const Engine engine = flags.model.load();
  flags.fresh.seed = flags.trainer.seed;
  flags.trainer.end_id = engine.tokenizer().special_tokens().eos;
  const std::unique_ptr<Compressor> compressor = first_compressor(flags, engine);
  const TextDataset data = read_data(flags, engine.tokenizer());
  ProgressBar bar("training");
  double smoothed = 0;
  TrainingStep last;
  train(
      *compressor, engine.decoder(), data, flags.trainer, flags.out, [&](const TrainingStep& step) {
        smoothed = last.step == 0 ? step.loss : 0.95 * smoothed + 0.05 * step.loss;
        last = step;
        bar.update(static_cast<double>(step.step) / static_cast<double>(flags.trainer.steps),
                   note(step, smoothed));
        return true;
      });
  nlohmann::json result = {{"steps", flags.trainer.steps}, {"compressor", flags.out.string()}};
  if (last.step > 0) result["loss"] = smoothed;  // a run that was finished already has none
  print(result);
}

void add_trainer_flags(CLI::App& command, TrainerOptions& trainer) {
  command.add_option("--steps", trainer.steps, "optimiser steps")->capture_default_str();
  command.add_option("--batch", trainer.batch, "examples in a step")->capture_default_str();
  command
      .add_option(
          "--min-older", trainer.lengths.min_older, "shortest text that is compressed, in tokens")
      ->capture_default_str();
  command.add_option("--max-older", trainer.lengths.max_older, "longest one")
      ->capture_default_str();
  command
      .add_option("--target", trainer.lengths.target, "tokens that are predicted from the memory")
      ->capture_default_str();
  command.add_option("--ratios", trainer.ratios, "selfcp: ratios to draw from (default: --ratio)")
      ->delimiter(',');
  command
      .add_option("--autoencode-share",
                  trainer.autoencode_share,
                  "icae, ic-former: share of examples that are said again rather than gone on with")
      ->capture_default_str();
  command
      .add_option(
          "--chained-share", trainer.chained_share, "selfcp: share of steps that chain parts")
      ->capture_default_str();
  command.add_option("--learning-rate", trainer.learning_rate, "after the warm-up")
      ->capture_default_str();
  command.add_option("--warmup", trainer.warmup_steps, "steps")->capture_default_str();
  command.add_option("--weight-decay", trainer.weight_decay, "of AdamW")->capture_default_str();
  command.add_option("--clip", trainer.clip_norm, "largest norm of the gradient")
      ->capture_default_str();
  command.add_option("--seed", trainer.seed, "of the draws")->capture_default_str();
  command.add_option("--checkpoint-every", trainer.checkpoint_every, "steps")
      ->capture_default_str();
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train", "Train a compressor; run it again to go on from its checkpoint");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  CLI::Option* method = command->add_option(
      "--method", flags->fresh.method, "of a new compressor: selfcp, icae, gisting or ic-former");
  command->add_option("--data", flags->data, "JSON Lines with a string field \"text\"")->required();
  command->add_option("--out", flags->out, "directory for compressor, checkpoint and log.jsonl")
      ->required();
  CLI::Option* start = command->add_option(
      "--start-from", flags->start, "compressor directory to train further, in place of --method");
  start->excludes(method);
  add_new_compressor_flags(*command, flags->fresh, start);
  add_trainer_flags(*command, flags->trainer);
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
