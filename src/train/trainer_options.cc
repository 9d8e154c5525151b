// SPDX-License-Identifier: Apache-2.0
#include "train/trainer_options.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/check.h"

namespace precis {
namespace {

constexpr double kFinalRate = 0.1;  // of the learning rate, where the cosine ends

void check_numbers(const TrainerOptions& options) {
  const auto demand = [](bool good, const char* name, auto value) {
    PRECIS_CHECK(good,
                 kInvalidArgument,
                 "training options: ",
                 name,
                 " is ",
                 value,
                 ", which is out of range");
  };
  demand(options.steps >= 1, "steps", options.steps);
  demand(options.stop_after >= 0 && options.stop_after <= options.steps,
         "stop_after (0 to steps)",
         options.stop_after);
  demand(options.batch >= 1, "batch", options.batch);
  demand(options.accumulate >= 1 && options.batch % options.accumulate == 0,
         "accumulate (has to divide batch)",
         options.accumulate);
  demand(options.learning_rate > 0 && std::isfinite(options.learning_rate),
         "learning_rate",
         options.learning_rate);
  demand(options.warmup_steps >= 0, "warmup_steps", options.warmup_steps);
  demand(options.weight_decay >= 0, "weight_decay", options.weight_decay);
  demand(options.clip_norm > 0, "clip_norm", options.clip_norm);
  demand(options.embedding_steps >= 0, "embedding_steps", options.embedding_steps);
  demand(options.checkpoint_every >= 1, "checkpoint_every", options.checkpoint_every);
  demand(options.validate_every >= 0, "validate_every", options.validate_every);
  demand(options.validation_examples >= 1, "validation_examples", options.validation_examples);
  demand(options.chained_share >= 0 && options.chained_share <= 1,
         "chained_share",
         options.chained_share);
  for (const double ratio : options.ratios)
    demand(ratio >= 1 && std::isfinite(ratio), "ratio", ratio);
}

}  // namespace

void check_options(const TrainerOptions& options, const Compressor& compressor) {
  check_numbers(options);
  const CompressorInfo info = compressor.info();
  const auto demand = [&](bool good, const auto&... parts) {
    PRECIS_CHECK(good, kInvalidArgument, "training options: ", parts...);
  };
  demand(info.num_parameters > 0, info.method, " has no parameters to train");
  demand(options.ratios.empty() || info.any_ratio,
         "ratios were given, but ",
         info.method,
         " has a fixed ratio");
  demand(options.embedding_steps == 0 || !info.cached,
         "embedding_steps is ",
         options.embedding_steps,
         ", but memories of ",
         info.method,
         " are keys and values, not embeddings");
  demand(options.chained_share == 0 || info.any_chaining,
         "chained_share is ",
         options.chained_share,
         ", but ",
         info.method,
         " does not chain segments");
  demand(info.divides || options.examples.lengths.max_older <= info.max_segment,
         "max_older is ",
         options.examples.lengths.max_older,
         ", but ",
         info.method,
         " takes ",
         info.max_segment,
         " tokens at most");
  const ObjectiveWeights& objectives = options.examples.objectives;
  if (objectives.autoencode > 0) compressor.memory_template(MemoryUse::kAutoencode);
  if (objectives.continuation > 0 || objectives.distil > 0)
    compressor.memory_template(MemoryUse::kContinue);
  if (objectives.instruct > 0 && !options.examples.chat)
    compressor.memory_template(MemoryUse::kInstruct);
}

double learning_rate(const TrainerOptions& options, int64_t step) {
  if (step <= options.warmup_steps) {
    return options.learning_rate * static_cast<double>(step) /
           static_cast<double>(options.warmup_steps);
  }
  const double done =
      static_cast<double>(step - options.warmup_steps) /
      static_cast<double>(std::max<int64_t>(1, options.steps - options.warmup_steps));
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::min(1.0, done)));
  return options.learning_rate * (kFinalRate + (1 - kFinalRate) * cosine);
}

std::string describe_run(const TrainerOptions& options,
                         const Compressor& compressor,
                         const Decoder& decoder,
                         const TrainingData& data) {
  const CompressorInfo info = compressor.info();
  const ExampleOptions& examples = options.examples;
  nlohmann::json run = {
      {"model", decoder.fingerprint()},
      {"dtype", c10::toString(c10::typeMetaToScalarType(decoder.options().dtype()))},
      {"data", data.train.fingerprint()},
      {"validation", data.validation != nullptr ? data.validation->fingerprint() : ""},
      {"method", info.method},
      {"first_weights", info.fingerprint},
      {"ratio", info.ratio},
      {"max_segment", info.max_segment},
      {"reads_prefix", info.reads_prefix},
      {"steps", options.steps},
      {"batch", options.batch},
      {"accumulate", options.accumulate},
      {"older", {examples.lengths.min_older, examples.lengths.max_older}},
      {"kept", {examples.lengths.min_kept, examples.lengths.max_kept}},
      {"target", examples.lengths.target},
      {"grow_steps", examples.lengths.grow_steps},
      {"autoencode", examples.objectives.autoencode},
      {"continue", examples.objectives.continuation},
      {"instruct", examples.objectives.instruct},
      {"distil", examples.objectives.distil},
      {"end_id", examples.end_id.value_or(-1)},
      {"bos_id", examples.bos_id.value_or(-1)},
      {"chat", examples.chat.has_value()},  // its ids may hold the date
      {"answer_end_id", examples.answer_end_id.value_or(-1)},
      {"recompute", options.recompute},
      {"seed", examples.seed},
      {"ratios", options.ratios},
      {"chained_share", options.chained_share},
      {"learning_rate", options.learning_rate},
      {"warmup_steps", options.warmup_steps},
      {"weight_decay", options.weight_decay},
      {"clip_norm", options.clip_norm},
      {"validate_every", options.validate_every},
      {"validation_examples", options.validation_examples}};
  // Left out where 0: older checkpoints do not have it.
  if (options.embedding_steps > 0) run["embedding_steps"] = options.embedding_steps;
  return run.dump();
}

}  // namespace precis
