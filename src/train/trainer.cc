// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <chrono>

#include "base/check.h"
#include "io/drafts.h"
#include "io/lock_file.h"
#include "train/trainer_options.h"
#include "train/training_log.h"
#include "train/training_run.h"

namespace precis {
namespace {

constexpr std::chrono::seconds kPatience(1);  // for another run that is about to end

void make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
}

void take_steps(TrainingRun& run,
                const TrainerOptions& options,
                const std::filesystem::path& directory,
                const TrainingCallback& on_step) {
  const int64_t done = run.resume(directory), last = options.last_step();
  TrainingLog log(directory / "log.jsonl");
  log.cut(done);
  // The last run may have been killed between its last checkpoint and the compressor.
  if (done == last) {
    run.save_compressor(directory);
    log.plot();
  }
  bool wanted = true;
  for (int64_t number = done + 1; wanted && number <= last; ++number) {
    TrainingStep step = run.take_step(number);
    if (run.validates_after(number)) step.validation_loss = run.validate(directory / "best");
    log.append(step);
    wanted = !on_step || on_step(step);
    if (wanted && number % options.checkpoint_every != 0 && number != last) continue;
    run.save_checkpoint(directory, number);
    run.save_compressor(directory);
    log.plot();
  }
}

}  // namespace

// A run writes its checkpoint before its compressor.
void check_output_directory(const std::filesystem::path& directory) {
  check_unlocked(directory, kPatience);
  std::error_code ignored;
  const auto has = [&](const char* name) {
    return std::filesystem::exists(directory / name, ignored);
  };
  PRECIS_CHECK(
      has("checkpoint.safetensors") || !(has("compressor.json") || has("compressor.safetensors")),
      kInvalidArgument,
      directory.string(),
      ": holds a compressor that no checkpoint belongs to; use another directory");
}

void train(Compressor& compressor,
           const Decoder& decoder,
           const TrainingData& data,
           const TrainerOptions& options,
           const std::filesystem::path& directory,
           const TrainingCallback& on_step) {
  check_options(options, compressor);
  TrainingRun run(compressor, decoder, data, options);  // refuses lengths that no text has
  check_output_directory(directory);
  make_directory(directory);
  const LockFile lock(directory, kPatience);
  run.check_longest_examples();
  remove_drafts(directory);
  remove_drafts(directory / "best");
  take_steps(run, options, directory, on_step);
}

}  // namespace precis
