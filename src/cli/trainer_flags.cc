// SPDX-License-Identifier: Apache-2.0
#include "cli/trainer_flags.h"

namespace precis::cli {
namespace {

constexpr int64_t kExamplesPerPass = 4;

}  // namespace

void add_trainer_flags(CLI::App& command,
                       TrainerOptions& trainer,
                       std::optional<int64_t>& accumulate) {
  command.add_option("--steps", trainer.steps, "optimiser steps")->capture_default_str();
  command
      .add_option(
          "--stop-after",
          trainer.stop_after,
          "end with this step, the learning rate going as if all --steps were taken; 0: take "
          "all")
      ->capture_default_str();
  command.add_option("--batch", trainer.batch, "examples in a step")->capture_default_str();
  command.add_option("--accumulate",
                     accumulate,
                     "passes that a batch is read in, to save memory (default: on a GPU 1, else as "
                     "few as read at most 4 examples each)");
  command.add_flag("--recompute",
                   trainer.recompute,
                   "recompute MLP activations in the backward pass: less memory, more time");
  ExampleLengths& lengths = trainer.examples.lengths;
  command
      .add_option("--min-older", lengths.min_older, "shortest text that is compressed, in tokens")
      ->capture_default_str();
  command.add_option("--max-older", lengths.max_older, "longest one")->capture_default_str();
  command
      .add_option(
          "--grow-steps", lengths.grow_steps, "steps until texts are as long as --max-older")
      ->capture_default_str();
  command
      .add_option("--min-kept", lengths.min_kept, "fewest tokens kept between memory and target")
      ->capture_default_str();
  command.add_option("--max-kept", lengths.max_kept, "most of them")->capture_default_str();
  command.add_option("--target", lengths.target, "tokens that are predicted from the memory")
      ->capture_default_str();
  command
      .add_option(
          "--ratios", trainer.ratios, "selfcp, gisting: ratios to draw from (default: --ratio)")
      ->delimiter(',');
  command
      .add_option(
          "--chained-share", trainer.chained_share, "selfcp: share of steps that chain parts")
      ->capture_default_str();
  command
      .add_option(
          "--embedding-steps",
          trainer.embedding_steps,
          "all but gisting: first steps, in which each memory row learns to be the embedding "
          "of the token in the middle of its share")
      ->capture_default_str();
  command.add_option("--learning-rate", trainer.learning_rate, "after the warm-up")
      ->capture_default_str();
  command.add_option("--warmup", trainer.warmup_steps, "steps")->capture_default_str();
  command.add_option("--weight-decay", trainer.weight_decay, "of AdamW")->capture_default_str();
  command.add_option("--clip", trainer.clip_norm, "largest norm of the gradient")
      ->capture_default_str();
  command.add_option("--seed", trainer.examples.seed, "of the draws")->capture_default_str();
  command.add_option("--checkpoint-every", trainer.checkpoint_every, "steps")
      ->capture_default_str();
  command
      .add_option("--validate-every",
                  trainer.validate_every,
                  "steps between validations; 0: never (--validation sets 100)")
      ->capture_default_str();
  command
      .add_option("--validation-examples", trainer.validation_examples, "drawn once from its texts")
      ->capture_default_str();
}

int64_t passes_for(int64_t batch, bool on_gpu) {
  int64_t passes = 1;
  while (!on_gpu && (batch % passes != 0 || batch / passes > kExamplesPerPass)) ++passes;
  return passes;
}

}  // namespace precis::cli
