// SPDX-License-Identifier: Apache-2.0
// precis eval: evaluates compressors against no text, truncation, another text and the full text.
#include <c10/core/GradMode.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/check.h"
#include "cli/choices.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "eval/evaluate.h"
#include "eval/report.h"
#include "eval/share_plot.h"
#include "eval/summary.h"
#include "io/lock_file.h"
#include "io/safetensors.h"
#include "io/translate_errors.h"
#include "precis/extend/compressor.h"
#include "precis/extend/registry.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  std::vector<std::filesystem::path> compressors{kDefaultCompressor};
  EvaluationOptions evaluation;
  std::vector<std::string> tasks;
  std::filesystem::path out;
  bool json = false;
};

const std::map<std::string, EvaluationTask> kTasks{
    {name_of(EvaluationTask::kContinue), EvaluationTask::kContinue},
    {name_of(EvaluationTask::kReconstruct), EvaluationTask::kReconstruct},
    {name_of(EvaluationTask::kSummaries), EvaluationTask::kSummaries},
    {name_of(EvaluationTask::kQuestions), EvaluationTask::kQuestions},
    {name_of(EvaluationTask::kNeedles), EvaluationTask::kNeedles}};

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

bool several(const Flags& flags) { return flags.compressors.size() > 1; }

// With several compressors {"evaluations": [...]}, even while only the first is done.
nlohmann::json json_of(const Flags& flags, const std::vector<Evaluation>& evaluations) {
  if (!several(flags)) return to_json(evaluations.front());
  nlohmann::json all = nlohmann::json::array();
  for (const Evaluation& evaluation : evaluations) all.push_back(to_json(evaluation));
  return {{"evaluations", all}};
}

// Also removes the plot of an earlier evaluation.
void write_results(const Flags& flags, const std::vector<Evaluation>& evaluations) {
  const std::filesystem::path& out = flags.out;
  write_text_file(out / "results.md", to_markdown(evaluations));
  write_text_file(out / "results.json", json_of(flags, evaluations).dump(2) + "\n");
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

// With several compressors, ratios apply to those that accept any ratio.
EvaluationOptions options_for(const Flags& flags, const Compressor& compressor) {
  EvaluationOptions options = flags.evaluation;
  if (several(flags) && !compressor.info().any_ratio) options.ratios.clear();
  return options;
}

// Checks all compressors before the first is measured. The engine has the first one; the others are
// loaded over its model and dropped.
void check_all(const Flags& flags, const Engine& engine) {
  const c10::NoGradGuard no_grad;
  bool any_ratio = flags.evaluation.ratios.empty();
  const auto check_one = [&](const Compressor& compressor) {
    check(options_for(flags, compressor), compressor, engine.decoder());
    any_ratio = any_ratio || compressor.info().any_ratio;
  };
  check_one(*engine.compressor());
  for (size_t i = 1; i < flags.compressors.size(); ++i)
    check_one(*load_compressor(flags.compressors[i], engine.decoder(), &engine.tokenizer()));
  PRECIS_CHECK(any_ratio,
               kInvalidArgument,
               "eval: --ratios were given, but all compressors have fixed ratios");
}

Evaluation measure_one(const Flags& flags,
                       const Engine& engine,
                       const std::filesystem::path& compressor,
                       Readings& readings,
                       StageBars& bars) {
  const std::string which =
      several(flags) ? concat(engine.compressor()->info().method, ": ") : std::string();
  Evaluation evaluation =
      evaluate(engine,
               options_for(flags, *engine.compressor()),
               readings,
               [&](const std::string& stage, double done) { bars.update(which + stage, done); });
  evaluation.model = flags.model.engine.model.string();
  evaluation.compressor = compressor.string();
  evaluation.weights = flags.model.weights;
  return evaluation;
}

// Writes results after each compressor, since a later one may fail. One model is in memory at a
// time.
std::vector<Evaluation> measure_all(const Flags& flags) {
  std::optional<Engine> engine(load(flags, flags.compressors.front()));
  check_all(flags, *engine);
  StageBars bars;
  Readings readings;
  std::vector<Evaluation> evaluations;
  for (const std::filesystem::path& compressor : flags.compressors) {
    if (!engine) engine.emplace(load(flags, compressor));
    evaluations.push_back(measure_one(flags, *engine, compressor, readings, bars));
    engine.reset();
    if (!flags.out.empty()) write_results(flags, evaluations);
  }
  return evaluations;
}

std::vector<Evaluation> measure(const Flags& flags) {
  check(flags.evaluation);
  if (flags.out.empty()) return measure_all(flags);
  const LockFile lock = lock_directory(flags.out);
  check_can_be_written(flags.out / "results.json");
  return measure_all(flags);
}

void print_summary(const Flags& flags, const std::vector<Evaluation>& evaluations) {
  print_text(summarise(evaluations));
  if (!flags.out.empty())
    std::cerr << "precis: all arms and costs: " << (flags.out / "results.md").string()
              << " and results.json beside it" << std::endl;
}

void run(Flags& flags) {
  for (const std::string& task : flags.tasks) flags.evaluation.tasks.push_back(kTasks.at(task));
  const std::vector<Evaluation> evaluations = translate_errors([&] { return measure(flags); });
  if (flags.json) return print(json_of(flags, evaluations));
  print_summary(flags, evaluations);
}

void add_text_flags(CLI::App& command, EvaluationOptions& options) {
  command.add_option(
      "--texts", options.texts, "JSON Lines, plain or .zst: \"text\", optionally \"summary\"");
  command.add_option("--questions",
                     options.questions,
                     "JSON Lines, plain or .zst: \"context\", \"prompt\", \"answer\" or "
                     "\"answers\"; answers are to be a few words, several questions may have one "
                     "context");
  command.add_option("--older", options.older, "first tokens of each text, which are compressed")
      ->capture_default_str();
  command.add_option("--kept", options.kept, "tokens after them, uncompressed in every arm")
      ->capture_default_str();
  command
      .add_option("--scored", options.scored, "tokens after those, whose likelihood is measured")
      ->capture_default_str();
  command.add_flag(
      "--templated",
      options.templated,
      "questions and summaries in the template that the compressor was trained with, instead "
      "of the model's chat template");
  command.add_flag("--framed", options.templated, "the former name of --templated")->group("");
  command
      .add_option(
          "--limit", options.limit, "most texts, most questions, and most needles of each length")
      ->capture_default_str();
}

void add_needle_flags(CLI::App& command, NeedleOptions& needles) {
  command.add_option(
      "--needles",
      needles.texts,
      "JSON Lines, plain or .zst: \"text\"; the texts are joined, invented facts are "
      "hidden in them and asked for");
  command
      .add_option("--needle-tokens", needles.tokens, "lengths of the joined texts, facts included")
      ->delimiter(',')
      ->capture_default_str();
  command.add_option("--needles-per-text", needles.per_text, "facts in each joined text")
      ->capture_default_str();
  command.add_option("--seed", needles.seed, "of the facts and the places where they stand")
      ->capture_default_str();
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "eval", "Evaluate compressors against no text, truncation, another text and the full text");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option(
      "--compressor",
      flags->compressors,
      "directories with compressor.json, and names of built-in compressors; several are "
      "compared (default: attention_matching)");
  add_text_flags(*command, flags->evaluation);
  add_needle_flags(*command, flags->evaluation.needles);
  command->add_option("--task", flags->tasks, "tasks to run (default: all that the files allow)")
      ->delimiter(',')
      ->check(one_of(names_of(kTasks)));
  command
      ->add_option("--ratios",
                   flags->evaluation.ratios,
                   "text tokens per memory token, e.g. 2,4,8 (default: each compressor's own; with "
                   "several compressors these apply to those that accept any ratio)")
      ->delimiter(',');
  command
      ->add_option_function<std::string>(
          "--positions",
          [flags](const std::string& name) {
            flags->evaluation.positions =
                name == "text" ? MemoryPositions::kText : MemoryPositions::kRows;
          },
          "positions of the context that memories of keys and values take: as many as their texts "
          "have tokens (text), or as the memories have (rows) (default: each compressor's own)")
      ->check(one_of({"text", "rows"}));
  command
      ->add_option("--refine",
                   flags->evaluation.refine_seconds,
                   "seconds of gradient steps on each memory after it is made (0: none)")
      ->capture_default_str();
  command->add_option(
      "--out",
      flags->out,
      "directory for all numbers: results.md, results.json and recovered_share.svg");
  command->add_flag("--json", flags->json, "one JSON object instead of the tables");
  command->callback([flags] { run(*flags); });
}

}  // namespace precis::cli
