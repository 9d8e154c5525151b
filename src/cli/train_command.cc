// SPDX-License-Identifier: Apache-2.0
// precis train: a compressor for one's own model and text.
#include <c10/core/GradMode.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "precis/registry.h"
#include "compressors/selfcp.h"
#include "io/translate_errors.h"
#include "train/trainer.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  SelfCpConfig selfcp;
  TrainerOptions trainer;
  std::string method;
  std::filesystem::path data, out, start;
  int64_t separator = -1;  // -1: none
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
std::unique_ptr<Compressor> first_compressor(Flags& flags, const Decoder& decoder) {
  const c10::NoGradGuard no_grad;
  if (!flags.start.empty()) return load_compressor(flags.start, decoder);
  if (flags.separator >= 0) flags.selfcp.separator = flags.separator;
  return create_selfcp(flags.selfcp, decoder);
}

void run(Flags& flags) {
  PRECIS_CHECK(flags.method == "selfcp",
               kUnsupported,
               "train: method \"",
               flags.method,
               "\" cannot be trained (known: selfcp)");
  const Engine engine = flags.model.load();
  const std::unique_ptr<Compressor> compressor = first_compressor(flags, engine.decoder());
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
  command.add_option("--ratios", trainer.ratios, "ratios to draw from (default: --ratio)")
      ->delimiter(',');
  command.add_option("--chained-share", trainer.chained_share, "share of steps that chain parts")
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
  flags->selfcp.ratio = 4;
  flags->selfcp.reads_prefix = false;
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option("--method", flags->method, "selfcp")->required();
  command->add_option("--data", flags->data, "JSON Lines with a string field \"text\"")->required();
  command->add_option("--out", flags->out, "directory for compressor, checkpoint and log.jsonl")
      ->required();
  CLI::Option* start = command->add_option(
      "--start-from", flags->start, "compressor directory to train further (default: a new one)");
  command->add_option("--ratio", flags->selfcp.ratio, "text tokens per memory token")
      ->capture_default_str()
      ->excludes(start);
  command->add_option("--max-segment", flags->selfcp.max_segment, "text tokens in one pass")
      ->capture_default_str()
      ->excludes(start);
  command
      ->add_option(
          "--separator", flags->separator, "id of a token to read before the text (default: none)")
      ->excludes(start);
  add_trainer_flags(*command, flags->trainer);
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
