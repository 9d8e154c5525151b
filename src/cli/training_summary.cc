// SPDX-License-Identifier: Apache-2.0
#include "cli/training_summary.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace precis::cli {
namespace {

std::string digits(double loss) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", loss);
  return text;
}

std::string how_it_ended(const TrainingOutcome& outcome) {
  const TrainerOptions& options = outcome.options;
  const std::string directory = outcome.directory.string();
  const std::string taken =
      concat(outcome.name, " ended with step ", outcome.step, " of ", options.steps);
  if (!outcome.finished())
    return concat(
        taken, ": unfinished; the same command resumes from the checkpoint in ", directory);
  if (options.last_step() < options.steps)
    return concat(
        taken, ", as set by --stop-after; with a later one, or without, the same command resumes");
  return concat(taken, ": finished; --start-from ", directory, " trains its compressor further");
}

std::string losses(const TrainingOutcome& outcome) {
  const TrainingStep& last = *outcome.last;
  const bool embeddings = last.step <= outcome.options.embedding_steps;
  std::string text =
      concat("loss ",
             digits(last.loss),
             " in the last step, ",
             digits(last.smoothed_loss),
             " as a running average (",
             embeddings ? "in units of the variance of the model's embeddings; lower is better"
                        : "nats per predicted token; lower is better",
             ")");
  if (outcome.validated) {
    text += concat("; ",
                   digits(*outcome.validated->validation_loss),
                   " on the validation data after step ",
                   outcome.validated->step,
                   "; the compressor of the lowest is kept in ",
                   (outcome.directory / "best").string());
  }
  return text;
}

}  // namespace

nlohmann::json in_json(const TrainingOutcome& outcome) {
  nlohmann::json result = {{"steps", outcome.step},
                           {"compressor", outcome.directory.string()},
                           {"finished", outcome.finished()}};
  if (outcome.last) {
    result["loss"] = outcome.last->smoothed_loss;
    result["last_loss"] = outcome.last->loss;
  }
  if (outcome.validated) result["validation_loss"] = *outcome.validated->validation_loss;
  return result;
}

std::string in_words(const TrainingOutcome& outcome) {
  std::string text = "precis: " + how_it_ended(outcome) + "\n";
  if (outcome.last) text += "precis: " + losses(outcome) + "\n";
  return text;
}

}  // namespace precis::cli
