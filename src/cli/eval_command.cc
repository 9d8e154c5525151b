// SPDX-License-Identifier: Apache-2.0
// precis eval: what a compressor is worth, against no text, as much text, another's memory and all.
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "eval/evaluate.h"
#include "eval/report.h"
#include "io/safetensors.h"
#include "io/translate_errors.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  EvaluationOptions evaluation;
  std::vector<std::string> tasks;
  std::filesystem::path out;
  bool json = false;
};

const std::map<std::string, EvaluationTask> kTasks{
    {name_of(EvaluationTask::kContinue), EvaluationTask::kContinue},
    {name_of(EvaluationTask::kReconstruct), EvaluationTask::kReconstruct},
    {name_of(EvaluationTask::kSummaries), EvaluationTask::kSummaries},
    {name_of(EvaluationTask::kQuestions), EvaluationTask::kQuestions}};

// One bar for each stage.
class StageBars {
 public:
  void update(const std::string& stage, double done) {
    if (stage != stage_) bar_.emplace(stage);
    stage_ = stage;
    bar_->update(done);
  }

 private:
  std::string stage_;
  std::optional<ProgressBar> bar_;
};

void make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  PRECIS_CHECK(!error, kInvalidArgument, directory.string(), ": cannot be made: ", error.message());
}

// Of an earlier evaluation nothing is to be left beside this one's results.
void write_results(const Evaluation& evaluation, const std::filesystem::path& out) {
  write_text_file(out / "results.md", to_markdown(evaluation));
  write_text_file(out / "results.json", to_json(evaluation).dump(2) + "\n");
  const std::string plot = recovered_share_plot(evaluation);
  const std::filesystem::path plot_file = out / "recovered_share.svg";
  if (plot.empty())
    std::filesystem::remove(plot_file);
  else
    write_text_file(plot_file, plot);
}

Evaluation measure(const Flags& flags) {
  check(flags.evaluation);
  if (!flags.out.empty()) {
    make_directory(flags.out);
    check_can_be_written(flags.out / "results.json");
  }
  const Engine engine = flags.model.load();
  StageBars bars;
  Evaluation evaluation =
      evaluate(engine, flags.evaluation, [&](const std::string& stage, double done) {
        bars.update(stage, done);
      });
  evaluation.model = flags.model.engine.model.string();
  evaluation.compressor = flags.model.engine.compressor.string();
  if (!flags.out.empty()) write_results(evaluation, flags.out);
  return evaluation;
}

void run(Flags& flags) {
  for (const std::string& task : flags.tasks) flags.evaluation.tasks.push_back(kTasks.at(task));
  const Evaluation evaluation = translate_errors([&] { return measure(flags); });
  if (flags.json) return print(to_json(evaluation));
  if (!flags.out.empty()) return print({{"results", flags.out.string()}});
  std::cout << to_markdown(evaluation) << std::flush;
  PRECIS_CHECK(std::cout.good(), kInvalidArgument, "standard output cannot be written");
}

void add_text_flags(CLI::App& command, EvaluationOptions& options) {
  command.add_option(
      "--texts", options.texts, "JSON Lines, plain or .zst: \"text\", perhaps \"summary\"");
  command.add_option("--questions",
                     options.questions,
                     "JSON Lines, plain or .zst: \"context\", \"prompt\", \"answer\" or "
                     "\"answers\"");
  command.add_option("--older", options.older, "tokens of each text that are compressed")
      ->capture_default_str();
  command
      .add_option(
          "--kept", options.kept, "tokens after them that every arm reads before the scored")
      ->capture_default_str();
  command.add_option("--scored", options.scored, "tokens that are scored")->capture_default_str();
  command.add_flag("--framed",
                   options.framed,
                   "questions and summaries in the frame that the compressor was trained with, not "
                   "in the model's chat");
  command.add_option("--limit", options.limit, "texts and questions at most")
      ->capture_default_str();
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "eval", "Measure what memories are worth beside no text, cut text and the full text");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kRequired, "auto");
  add_text_flags(*command, flags->evaluation);
  command
      ->add_option(
          "--task",
          flags->tasks,
          "continue, reconstruct, summaries, questions (default: all that the files allow)")
      ->delimiter(',')
      ->check(CLI::IsMember(kTasks));
  command
      ->add_option("--ratios",
                   flags->evaluation.ratios,
                   "text tokens per memory token, e.g. 2,4,8 (default: the compressor's own)")
      ->delimiter(',');
  command->add_option(
      "--out", flags->out, "directory for results.md, results.json and recovered_share.svg");
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags] { run(*flags); });
}

}  // namespace precis::cli
