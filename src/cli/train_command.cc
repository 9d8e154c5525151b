// SPDX-License-Identifier: Apache-2.0
// precis train: trains a compressor for a model on given texts.
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/progress_bar.h"
#include "cli/train_stages.h"
#include "cli/training_summary.h"
#include "io/safetensors.h"
#include "io/translate_errors.h"
#include "precis/extend/registry.h"
#include "train/chat_form.h"
#include "train/trainer.h"

namespace precis::cli {
namespace {

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
std::unique_ptr<Compressor> first_compressor(const TrainFlags& flags, const Engine& engine) {
  const c10::NoGradGuard no_grad;
  if (!flags.start.empty()) return load_compressor(flags.start, engine.decoder());
  NewCompressor fresh = flags.fresh;
  fresh.seed = flags.trainer.examples.seed;
  return create(fresh, engine.decoder(), &engine.tokenizer());
}

void add_special_ids(const SpecialTokens& special, ExampleOptions& examples) {
  examples.end_id = special.eos;
  if (special.add_bos) examples.bos_id = special.bos;
}

// Writes the recipe of a stage, shows its progress and keeps its outcome.
class StageMonitor {
 public:
  StageMonitor(const Stage& stage, const TrainerOptions& options)
      : stage_(stage), bar_(stage.name, ProgressBar::Elsewhere::kLines) {
    outcome_.step = options.last_step();
    outcome_.options = options;
    outcome_.directory = stage.flags.out;
    outcome_.name = stage.name;
  }

  void add(const TrainingStep& step) {
    if (!outcome_.last) begin(step);
    outcome_.last = step;
    outcome_.step = step.step;
    if (step.validation_loss) outcome_.validated = step;
    bar_.update(share(step.step), note(step));
  }

  const TrainingOutcome& outcome() const { return outcome_; }

 private:
  // The recipe replaces that of another run only once this one trains.
  void begin(const TrainingStep& step) {
    write_text_file(outcome_.directory / "recipe.json", stage_.recipe.dump(2) + "\n");
    bar_.begin(share(step.step - 1), step.seconds);
  }

  double share(int64_t step) const {
    return static_cast<double>(step) / static_cast<double>(outcome_.options.last_step());
  }

  const Stage& stage_;
  ProgressBar bar_;
  TrainingOutcome outcome_;
};

// Runs a stage until it is finished or `is_wanted`, called after every step, returns false.
TrainingOutcome run(const Stage& stage, const std::function<bool()>& is_wanted) {
  const TrainFlags& flags = stage.flags;
  TrainerOptions options = trainer_options(flags);
  if (!flags.cache.empty()) check_can_be_written(flags.cache);
  const Engine engine = flags.model.load();
  add_special_ids(engine.tokenizer().special_tokens(), options.examples);
  const std::unique_ptr<Compressor> compressor = first_compressor(flags, engine);
  std::optional<ChatForm> chat;
  PromptEncoder encode_prompt;
  if (flags.chat) {
    chat.emplace(flags.model.engine.model, engine.tokenizer());
    options.examples.chat = chat->before();
    options.examples.answer_end_id = chat->end();
    encode_prompt = [&](const std::string& prompt) { return chat->after(prompt); };
  }
  const TokenDataset data = read_data(flags.data, flags.cache, engine.tokenizer(), encode_prompt);
  std::optional<TokenDataset> validation;
  if (!flags.validation.empty())
    validation = read_data(flags.validation, {}, engine.tokenizer(), encode_prompt);
  StageMonitor monitor(stage, options);
  train(*compressor,
        engine.decoder(),
        {data, validation ? &*validation : nullptr},
        options,
        flags.out,
        [&](const TrainingStep& step) {
          monitor.add(step);
          return is_wanted();
        });
  return monitor.outcome();
}

void run_all(const TrainFlags& flags, const CLI::App& command) {
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

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train", "Train a compressor; run again to resume from its checkpoint");
  auto flags = std::make_shared<TrainFlags>();
  add_train_flags(*command, *flags);
  command->callback([flags, command] { translate_errors([&] { run_all(*flags, *command); }); });
}

}  // namespace precis::cli
