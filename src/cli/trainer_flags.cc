// SPDX-License-Identifier: Apache-2.0
#include "cli/trainer_flags.h"

namespace precis::cli {
namespace {

constexpr int64_t kExamplesPerPass = 4;

}  // namespace

void add_trainer_flags(CLI::App& command,
                       TrainerOptions& trainer,
                       std::optional<int64_t>& accumulate) {
  command.add_option("--steps", trainer.steps, "optimiser steps of the learning rate schedule")
      ->capture_default_str();
  command
      .add_option(
          "--stop-after",
          trainer.stop_after,
          "last step of this run, with the learning rate schedule of all --steps; 0: all steps")
      ->capture_default_str();
  command.add_option("--batch", trainer.batch, "examples in a step")->capture_default_str();
  command.add_option(
      "--accumulate",
      accumulate,
      "gradient accumulation: passes per batch, to save memory (default: 1 on a GPU, "
      "else as few as hold at most 4 examples each)");
  command.add_flag("--recompute",
                   trainer.recompute,
                   "recompute MLP activations in the backward pass: less memory, more time");
  ExampleLengths& lengths = trainer.examples.lengths;
  command.add_option("--min-older", lengths.min_older, "fewest tokens of text to compress")
      ->capture_default_str();
  command.add_option("--max-older", lengths.max_older, "most tokens of it")->capture_default_str();
  command
      .add_option("--grow-steps",
                  lengths.grow_steps,
                  "steps in which the longest text grows to --max-older")
      ->capture_default_str();
  command
      .add_option(
          "--min-kept", lengths.min_kept, "fewest uncompressed tokens between memory and target")
      ->capture_default_str();
  command.add_option("--max-kept", lengths.max_kept, "most of them")->capture_default_str();
  command.add_option("--target", lengths.target, "tokens to predict")->capture_default_str();
  command
      .add_option("--ratios",
                  trainer.ratios,
                  "selfcp, gisting: ratios, of which each step draws one (default: --ratio)")
      ->delimiter(',');
  command
      .add_option("--chained-share",
                  trainer.chained_share,
                  "selfcp: share of steps with --chaining concat or recursive")
      ->capture_default_str();
  command
      .add_option("--embedding-steps",
                  trainer.embedding_steps,
                  "all but gisting: first steps, in which each memory token is trained towards the "
                  "embedding of the token in the middle of its share of the text")
      ->capture_default_str();
  command
      .add_option(
          "--learning-rate", trainer.learning_rate, "after the warm-up; cosine decay to a tenth")
      ->capture_default_str();
  command.add_option("--warmup", trainer.warmup_steps, "steps of linear warm-up")
      ->capture_default_str();
  command.add_option("--weight-decay", trainer.weight_decay, "of AdamW")->capture_default_str();
  command.add_option("--clip", trainer.clip_norm, "largest gradient norm")->capture_default_str();
  command.add_option("--seed", trainer.examples.seed, "of all random draws")->capture_default_str();
  command.add_option("--checkpoint-every", trainer.checkpoint_every, "steps between checkpoints")
      ->capture_default_str();
  command
      .add_option("--validate-every",
                  trainer.validate_every,
                  "steps between validations; 0: never (--validation sets 100)")
      ->capture_default_str();
  command
      .add_option("--validation-examples",
                  trainer.validation_examples,
                  "examples drawn once from --validation")
      ->capture_default_str();
}

int64_t passes_for(int64_t batch, bool on_gpu) {
  int64_t passes = 1;
  while (!on_gpu && (batch % passes != 0 || batch / passes > kExamplesPerPass)) ++passes;
  return passes;
}

}  // namespace precis::cli
