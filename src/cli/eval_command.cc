// SPDX-License-Identifier: Apache-2.0
// precis eval: what a compressor is worth, against no text, as much text, another's memory and all.
#include <c10/core/GradMode.h>

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
#include "precis/compressor.h"
#include "precis/decoder.h"
#include "precis/registry.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  std::vector<std::filesystem::path> compressors;
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

// Of several compressors {"evaluations": [...]}.
nlohmann::json json_of(const std::vector<Evaluation>& evaluations) {
  if (evaluations.size() == 1) return to_json(evaluations.front());
  nlohmann::json all = nlohmann::json::array();
  for (const Evaluation& evaluation : evaluations) all.push_back(to_json(evaluation));
  return {{"evaluations", all}};
}

// Of an earlier evaluation nothing is to be left beside this one's results.
void write_results(const std::vector<Evaluation>& evaluations, const std::filesystem::path& out) {
  write_text_file(out / "results.md", to_markdown(evaluations));
  write_text_file(out / "results.json", json_of(evaluations).dump(2) + "\n");
  const std::string plot = recovered_share_plot(evaluations);
  const std::filesystem::path plot_file = out / "recovered_share.svg";
  if (plot.empty())
    std::filesystem::remove(plot_file);
  else
    write_text_file(plot_file, plot);
}

Engine load(const Flags& flags, const std::filesystem::path& compressor) {
  ModelOptions model = flags.model;
  model.engine.compressor = compressor;
  return model.load();
}

// A compressor that cannot be loaded is to be found out before the others have been measured.
void check_compressors(const Flags& flags, const Decoder& decoder) {
  const c10::NoGradGuard no_grad;
  for (const std::filesystem::path& compressor : flags.compressors)
    load_compressor(compressor, decoder);
}

Evaluation measure_one(const Flags& flags, size_t index, StageBars& bars) {
  const std::filesystem::path& compressor = flags.compressors[index];
  const bool several = flags.compressors.size() > 1;
  const Engine engine = load(flags, compressor);
  if (several && index == 0) check_compressors(flags, engine.decoder());
  EvaluationOptions options = flags.evaluation;
  if (several && !engine.compressor()->info().any_ratio) options.ratios.clear();
  const std::string which = several ? compressor.filename().string() + ": " : "";
  Evaluation evaluation = evaluate(engine, options, [&](const std::string& stage, double done) {
    bars.update(which + stage, done);
  });
  evaluation.model = flags.model.engine.model.string();
  evaluation.compressor = compressor.string();
  return evaluation;
}

// What has been measured is written at once: a later compressor may fail.
std::vector<Evaluation> measure(const Flags& flags) {
  check(flags.evaluation);
  if (!flags.out.empty()) {
    make_directory(flags.out);
    check_can_be_written(flags.out / "results.json");
  }
  StageBars bars;
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < flags.compressors.size(); ++i) {
    evaluations.push_back(measure_one(flags, i, bars));
    if (!flags.out.empty()) write_results(evaluations, flags.out);
  }
  return evaluations;
}

void run(Flags& flags) {
  for (const std::string& task : flags.tasks) flags.evaluation.tasks.push_back(kTasks.at(task));
  const std::vector<Evaluation> evaluations = translate_errors([&] { return measure(flags); });
  if (flags.json) return print(json_of(evaluations));
  if (!flags.out.empty()) return print({{"results", flags.out.string()}});
  std::cout << to_markdown(evaluations) << std::flush;
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
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command
      ->add_option("--compressor",
                   flags->compressors,
                   "directory with compressor.json; several are set side by side")
      ->required();
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
                   "text tokens per memory token, e.g. 2,4,8 (default: the compressor's own; of "
                   "several compressors only for those that take any)")
      ->delimiter(',');
  command->add_option(
      "--out", flags->out, "directory for results.md, results.json and recovered_share.svg");
  command->add_flag("--json", flags->json, "one JSON object");
  command->callback([flags] { run(*flags); });
}

}  // namespace precis::cli
