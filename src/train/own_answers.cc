// SPDX-License-Identifier: Apache-2.0
#include "train/own_answers.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/json_text.h"
#include "io/lock_file.h"
#include "precis/extend/decoder.h"
#include "train/example_sampler.h"

namespace precis {
namespace {

constexpr std::chrono::seconds kPatience(1);  // for another run that is about to end

void check(const OwnAnswersOptions& options, int64_t window) {
  const auto demand = [](bool good, const char* name, int64_t value) {
    PRECIS_CHECK(good, kInvalidArgument, "own answers: ", name, " is ", value);
  };
  demand(options.num_questions >= 1, "rows", options.num_questions);
  demand(options.batch >= 1, "batch", options.batch);
  demand(options.max_tokens >= 1 && options.max_tokens < window, "max_tokens", options.max_tokens);
  demand(options.max_context < window - options.max_tokens,
         "max_context (has to leave room for prompt and answer)",
         options.max_context);
}

// Draws contexts; the target of one token is not used.
ExampleSampler sampler_of(const TokenDataset& texts, const OwnAnswersOptions& options) {
  ExampleOptions examples;
  examples.lengths.min_older = options.min_context;
  examples.lengths.max_older = options.max_context;
  examples.lengths.target = 1;
  examples.seed = options.seed;
  return ExampleSampler(texts, examples);
}

// The index after the last one in the file. An incomplete line at the end, as a killed run leaves
// it, is cut off.
int64_t next_index(const std::filesystem::path& out) {
  std::ifstream in(out);
  int64_t next = 0, number = 0;
  uintmax_t whole = 0;  // bytes of whole lines
  for (std::string text; std::getline(in, text); ++number) {
    const auto line = parse_json(text);
    const bool half =
        in.eof() && line.is_discarded() && (number > 0 || text.starts_with("{\"answer\""));
    PRECIS_CHECK(half || (line.is_object() && line.contains("answer") && line.contains("index") &&
                          line["index"].is_number_integer()),
                 kInvalidArgument,
                 out.string(),
                 ": line ",
                 number + 1,
                 " is not an answer of such a run; use another file");
    if (half) {
      std::filesystem::resize_file(out, whole);
      break;
    }
    next = std::max(next, line["index"].get<int64_t>() + 1);
    whole += text.size() + 1;
    if (in.eof()) std::ofstream(out, std::ios::app) << "\n";
  }
  return next;
}

// Whether the prompt did not fit the model's context: left out, as answers that are too long.
bool is_refused(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& refused) {
    return refused.kind() == ErrorKind::kInvalidArgument;
  }
}

// The lines of questions first .. last - 1, without answers. Lengths depend on the index alone, so
// that an interrupted run asks what an uninterrupted one would ask.
std::vector<nlohmann::json> questions(const Engine& engine,
                                      const ExampleSampler& sampler,
                                      const OwnAnswersOptions& options,
                                      int64_t first,
                                      int64_t last) {
  const std::vector<std::string>& prompts =
      options.prompts.empty() ? default_prompts() : options.prompts;
  std::vector<nlohmann::json> lines;
  for (int64_t index = first; index < last; ++index) {
    const TrainingExample example = sampler.draw(index, sampler.lengths(index + 1));
    lines.push_back({{"index", index},
                     {"context", engine.tokenizer().decode(example.segment.tokens)},
                     {"prompt", prompts[index % std::ssize(prompts)]}});
  }
  return lines;
}

// The lines with answers; those that are too long or empty are left out.
std::vector<nlohmann::json> answer(const Engine& engine,
                                   const std::vector<nlohmann::json>& lines,
                                   const OwnAnswersOptions& options) {
  GenerationOptions generation;
  generation.max_tokens = options.max_tokens;
  std::vector<Prompt> prompts;
  for (const nlohmann::json& line : lines) {
    const auto context = line.at("context").get<std::string>();
    prompts.push_back(
        Prompt().turn("user").keep(context + "\n\n" + line.at("prompt").get<std::string>()));
  }
  const std::vector<Completion> answers = engine.generate_batch(prompts, generation);
  std::vector<nlohmann::json> answered;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].error && !is_refused(answers[i].error)) std::rethrow_exception(answers[i].error);
    if (answers[i].finish != Completion::Finish::kStop || answers[i].text.empty()) continue;
    answered.emplace_back(lines[i])["answer"] = answers[i].text;
  }
  return answered;
}

}  // namespace

const std::vector<std::string>& default_prompts() {
  static const std::vector<std::string> prompts{
      "Summarise the text above in one or two sentences.",
      "What is the text above about?",
      "Give the text above a title.",
      "List the key words of the text above.",
      "Which names and numbers occur in the text above?",
      "Say the first sentence of the text above in other words.",
      "What does the text above say first, and what last?",
      "Ask a question that the text above answers, and answer it."};
  return prompts;
}

int64_t write_own_answers(const Engine& engine,
                          const TokenDataset& texts,
                          const OwnAnswersOptions& options,
                          const std::filesystem::path& out,
                          const std::function<bool(double)>& progress) {
  check(options, engine.decoder().config().context_length);
  const ExampleSampler sampler = sampler_of(texts, options);
  const LockFile lock(out, kPatience);
  const int64_t done = next_index(out), end = options.num_questions;
  std::ofstream file(out, std::ios::app);
  int64_t written = 0;
  for (int64_t first = done; first < end; first += options.batch) {
    const int64_t last = std::min(first + options.batch, end);
    for (const nlohmann::json& line :
         answer(engine, questions(engine, sampler, options, first, last), options)) {
      file << line.dump() << "\n";
      ++written;
    }
    file.flush();
    PRECIS_CHECK(file.good(), kInvalidArgument, out.string(), ": cannot be written");
    if (progress && !progress(static_cast<double>(last) / static_cast<double>(end))) break;
  }
  return written;
}

}  // namespace precis
