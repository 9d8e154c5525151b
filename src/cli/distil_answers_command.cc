// SPDX-License-Identifier: Apache-2.0
// precis distil-answers: training data without labels, answered by the model itself.
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress_bar.h"
#include "io/translate_errors.h"
#include "train/own_answers.h"

namespace precis::cli {
namespace {

struct Flags {
  ModelOptions model;
  OwnAnswersOptions options;
  std::filesystem::path data, cache, prompts, out;
};

std::vector<std::string> read_prompts(const std::filesystem::path& path) {
  std::vector<std::string> prompts;
  std::ifstream in(path);
  PRECIS_CHECK(in.good(), kNotFound, path.string(), ": cannot be opened");
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) prompts.push_back(line);
  }
  PRECIS_CHECK(!prompts.empty(), kInvalidArgument, path.string(), ": holds no prompt");
  return prompts;
}

void run(Flags& flags) {
  check_can_be_written(flags.out);
  if (!flags.cache.empty()) check_can_be_written(flags.cache);
  if (!flags.prompts.empty()) flags.options.prompts = read_prompts(flags.prompts);
  const Engine engine = flags.model.load();
  std::optional<TokenDataset> texts;
  {
    ProgressBar bar("tokenizing");
    texts = TokenDataset::read(
        flags.data, engine.tokenizer(), flags.cache, [&](double done) { bar.update(done); });
  }
  ProgressBar bar("answering");
  const int64_t written =
      write_own_answers(engine, *texts, flags.options, flags.out, [&](double done) {
        bar.update(done);
        return true;
      });
  print({{"asked", flags.options.num_questions},
         {"written_now", written},
         {"out", flags.out.string()}});
}

}  // namespace

void add_distil_answers(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "distil-answers",
      "Let the model answer prompts about texts: training data for the objective instruct");
  auto flags = std::make_shared<Flags>();
  add_model_options(*command, flags->model, CompressorUse::kNone, "auto");
  command->add_option("--data", flags->data, "JSON Lines, plain or .zst, with strings \"text\"")
      ->required();
  command->add_option("--cache", flags->cache, "file that keeps the tokenised data");
  command->add_option("--prompts",
                      flags->prompts,
                      "text file with a prompt per line (default: eight general prompts)");
  command->add_option("--out", flags->out, "JSON Lines file to append to; run again to resume")
      ->required();
  OwnAnswersOptions& options = flags->options;
  command->add_option("--rows", options.num_questions, "number of questions")
      ->capture_default_str();
  command->add_option("--min-context", options.min_context, "fewest tokens of a text")
      ->capture_default_str();
  command->add_option("--max-context", options.max_context, "most tokens of a text")
      ->capture_default_str();
  command
      ->add_option(
          "--max-tokens", options.max_tokens, "most tokens of an answer; longer ones are left out")
      ->capture_default_str();
  command->add_option("--batch", options.batch, "answers generated at a time")
      ->capture_default_str();
  command->add_option("--seed", options.seed, "of all random draws")->capture_default_str();
  command->callback([flags] { translate_errors([&] { run(*flags); }); });
}

}  // namespace precis::cli
