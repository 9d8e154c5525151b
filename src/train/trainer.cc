// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>
#include <span>

#include "base/check.h"
#include "io/atomic_file.h"
#include "train/checkpoint.h"
#include "train/language_model_loss.h"

namespace precis {
namespace {

constexpr double kFinalRate = 0.1;  // share of the learning rate that the cosine ends at

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

void check(const TrainerOptions& options) {
  const auto demand = [](bool good, const char* name, auto value) {
    PRECIS_CHECK(good,
                 kInvalidArgument,
                 "training options: ",
                 name,
                 " is ",
                 value,
                 ", which makes no sense");
  };
  demand(options.steps >= 1, "steps", options.steps);
  demand(options.batch >= 1, "batch", options.batch);
  demand(options.learning_rate > 0 && std::isfinite(options.learning_rate),
         "learning_rate",
         options.learning_rate);
  demand(options.warmup_steps >= 0, "warmup_steps", options.warmup_steps);
  demand(options.weight_decay >= 0, "weight_decay", options.weight_decay);
  demand(options.clip_norm > 0, "clip_norm", options.clip_norm);
  demand(options.checkpoint_every >= 1, "checkpoint_every", options.checkpoint_every);
  demand(options.chained_share >= 0 && options.chained_share <= 1,
         "chained_share",
         options.chained_share);
  demand(options.autoencode_share >= 0 && options.autoencode_share <= 1,
         "autoencode_share",
         options.autoencode_share);
  for (const double ratio : options.ratios)
    demand(ratio >= 1 && std::isfinite(ratio), "ratio", ratio);
}

// Whether the compressor can obey: found out before hours are spent.
void check(const TrainerOptions& options, const Compressor& compressor) {
  const CompressorInfo info = compressor.info();
  PRECIS_CHECK(info.num_parameters > 0,
               kInvalidArgument,
               "training: this ",
               info.method,
               " has nothing to be trained");
  PRECIS_CHECK(options.ratios.empty() || info.any_ratio,
               kInvalidArgument,
               "training options: ratios were given, but ",
               info.method,
               " has one ratio only");
  PRECIS_CHECK(options.chained_share == 0 || info.any_chaining,
               kInvalidArgument,
               "training options: chained_share is ",
               options.chained_share,
               ", but ",
               info.method,
               " does not chain parts");
  PRECIS_CHECK(info.divides || options.lengths.max_older <= info.max_segment,
               kInvalidArgument,
               "training options: max_older is ",
               options.lengths.max_older,
               ", but ",
               info.method,
               " takes ",
               info.max_segment,
               " tokens at most");
  if (options.autoencode_share > 0) compressor.frame(MemoryUse::kAutoencode);
  if (options.autoencode_share < 1) compressor.frame(MemoryUse::kContinue);
}

// What a checkpoint has to agree with, so that going on gives the losses of a run that was never
// interrupted. `info`: of the compressor before its first step.
nlohmann::json describe(const TrainerOptions& options,
                        const CompressorInfo& info,
                        const Decoder& decoder,
                        const TextDataset& dataset) {
  return {{"model", decoder.fingerprint()},
          {"dtype", c10::toString(c10::typeMetaToScalarType(decoder.options().dtype()))},
          {"data", dataset.fingerprint()},
          {"method", info.method},
          {"first_weights", info.fingerprint},
          {"ratio", info.ratio},
          {"max_segment", info.max_segment},
          {"reads_prefix", info.reads_prefix},
          {"steps", options.steps},
          {"batch", options.batch},
          {"min_older", options.lengths.min_older},
          {"max_older", options.lengths.max_older},
          {"target", options.lengths.target},
          {"ratios", options.ratios},
          {"chained_share", options.chained_share},
          {"autoencode_share", options.autoencode_share},
          {"end_id", options.end_id.value_or(-1)},
          {"learning_rate", options.learning_rate},
          {"warmup_steps", options.warmup_steps},
          {"weight_decay", options.weight_decay},
          {"clip_norm", options.clip_norm},
          {"seed", options.seed}};
}

class Run {
 public:
  Run(Compressor& compressor,
      const Decoder& decoder,
      const TextDataset& dataset,
      const TrainerOptions& options)
      : compressor_(compressor),
        decoder_(decoder),
        dataset_(dataset),
        options_(options),
        recipe_(describe(options, compressor.info(), decoder, dataset).dump()),
        sampler_(dataset, options.lengths, options.seed) {
    for (const NamedTensor& named : compressor.parameters()) {
      parameters_.push_back(named.tensor);
      parameters_.back().requires_grad_(true);
    }
    optimizer_ =
        std::make_unique<torch::optim::AdamW>(parameters_,
                                              torch::optim::AdamWOptions(options.learning_rate)
                                                  .betas({0.9, 0.98})
                                                  .weight_decay(options.weight_decay));
  }
  ~Run() {
    for (at::Tensor& parameter : parameters_) parameter.requires_grad_(false);
  }

  // The longest example that may be drawn has to pass: where the window is too small, that is found
  // out now rather than at some step.
  void try_longest() const {
    const c10::NoGradGuard no_grad;
    CompressOptions options;
    if (!options_.ratios.empty()) options.ratio = std::ranges::min(options_.ratios);
    for (const MemoryUse use : {MemoryUse::kAutoencode, MemoryUse::kContinue}) {
      const double share =
          use == MemoryUse::kAutoencode ? options_.autoencode_share : 1 - options_.autoencode_share;
      if (share == 0) continue;
      const std::vector<int32_t> ids(sampler_.longest_older() + options_.lengths.target, 0);
      const TrainingExample example = example_of(ids, sampler_.longest_older(), use);
      predict(decoder_, compressor_, {&example, 1}, options);
    }
  }

  TrainingStep take(int64_t number) {
    const auto start = std::chrono::steady_clock::now();
    TrainingStep step;
    step.step = number;
    step.learning_rate = learning_rate(options_, number);
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(step.learning_rate);
    optimizer_->zero_grad();
    const auto examples = draw(number, step.tokens);
    step.loss = cross_entropy(decoder_,
                              predict(decoder_, compressor_, examples, drawn_options(number)),
                              /*backward=*/true);
    step.gradient_norm = torch::nn::utils::clip_grad_norm_(parameters_, options_.clip_norm);
    PRECIS_CHECK(std::isfinite(step.loss) && std::isfinite(step.gradient_norm),
                 kInternal,
                 "training: step ",
                 number,
                 " has a loss of ",
                 step.loss,
                 " and a gradient norm of ",
                 step.gradient_norm,
                 "; try a smaller learning rate");
    optimizer_->step();
    step.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return step;
  }

  void save(const std::filesystem::path& directory, int64_t step) const {
    save_checkpoint(directory, {step, recipe_}, compressor_, *optimizer_);
    compressor_.save(directory);
  }
  int64_t resume(const std::filesystem::path& directory) {
    const int64_t done = load_checkpoint(directory, recipe_, compressor_, *optimizer_);
    PRECIS_CHECK(done <= options_.steps,
                 kBadWeights,
                 directory.string(),
                 ": the checkpoint is of step ",
                 done,
                 " of ",
                 options_.steps);
    return done;
  }

 private:
  // All examples of a step are equally long where their texts allow it: equal lengths are one
  // product in attention.
  std::vector<TrainingExample> draw(int64_t step, int64_t& tokens) const {
    const int64_t older = sampler_.older_length(step);
    std::vector<TrainingExample> examples;
    for (int64_t i = 0; i < options_.batch; ++i) {
      const uint64_t index = static_cast<uint64_t>(step) * options_.batch + i;
      const ExampleRange range = sampler_.draw(index, older);
      examples.push_back(
          example_of(dataset_.text(range.text).subspan(range.first, range.older + range.target),
                     range.older,
                     drawn_use(index)));
      tokens += std::ssize(examples.back().segment.tokens) + std::ssize(examples.back().targets);
    }
    return examples;
  }

  // Of a text whose first `older` tokens are to be compressed.
  TrainingExample example_of(std::span<const int32_t> text, int64_t older, MemoryUse use) const {
    TrainingExample example;
    example.use = use;
    example.segment.tokens.assign(text.begin(), text.begin() + older);
    if (use == MemoryUse::kAutoencode) {
      example.targets = example.segment.tokens;
      if (options_.end_id) example.targets.push_back(*options_.end_id);
    } else {
      example.targets.assign(text.begin() + older, text.end());
    }
    return example;
  }

  MemoryUse drawn_use(uint64_t index) const {
    return sampler_.share(index) < options_.autoencode_share ? MemoryUse::kAutoencode
                                                             : MemoryUse::kContinue;
  }

  CompressOptions drawn_options(int64_t step) const {
    std::mt19937_64 random(options_.seed * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(step));
    CompressOptions drawn;
    if (!options_.ratios.empty()) drawn.ratio = options_.ratios[random() % options_.ratios.size()];
    if (static_cast<double>(random() >> 11) * 0x1.0p-53 >= options_.chained_share) return drawn;
    drawn.chaining = random() % 2 == 0 ? Chaining::kConcat : Chaining::kRecursive;
    // Parts of half the text, so that there is a chain.
    drawn.segment = std::max<int64_t>(
        1, std::min(compressor_.info().max_segment, sampler_.older_length(step) / 2));
    return drawn;
  }

  Compressor& compressor_;
  const Decoder& decoder_;
  const TextDataset& dataset_;
  const TrainerOptions& options_;
  const std::string recipe_;
  ExampleSampler sampler_;
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
};

void append_log(const std::filesystem::path& path, const TrainingStep& step) {
  const nlohmann::json line = {
      {"step", step.step},
      {"loss", step.loss},
      {"learning_rate", step.learning_rate},
      {"gradient_norm", step.gradient_norm},
      {"tokens_per_second", static_cast<double>(step.tokens) / step.seconds}};
  std::ofstream out(path, std::ios::app);
  out << line.dump() << "\n";
  PRECIS_CHECK(out.good(), kInvalidArgument, path.string(), ": cannot be written");
}

// Forgets the steps that a killed run logged after its last checkpoint: they are taken again.
void cut_log(const std::filesystem::path& path, int64_t steps_done) {
  std::ifstream in(path);
  if (!in) return;
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto step = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    PRECIS_CHECK(step.is_discarded() || (step.is_object() && step.contains("step") &&
                                         step["step"].is_number_integer()),
                 kInvalidArgument,
                 path.string(),
                 ": not the log of a training run; use another directory");
    // A killed run may leave half a line.
    if (!step.is_discarded() && step["step"].get<int64_t>() <= steps_done) kept += line + "\n";
  }
  AtomicFile out(path);
  out.append(std::as_bytes(std::span(kept)));
  out.commit();
}

// A run writes its compressor after a checkpoint: one without is another's.
void check_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
  const auto has = [&](const char* name) {
    return std::filesystem::exists(directory / name, error);
  };
  PRECIS_CHECK(
      has("checkpoint.safetensors") || !(has("compressor.json") || has("compressor.safetensors")),
      kInvalidArgument,
      directory.string(),
      ": holds a compressor that no checkpoint belongs to; use another directory");
}

}  // namespace

void train(Compressor& compressor,
           const Decoder& decoder,
           const TextDataset& dataset,
           const TrainerOptions& options,
           const std::filesystem::path& directory,
           const TrainingCallback& on_step) {
  check(options);
  check(options, compressor);
  Run run(compressor, decoder, dataset, options);  // refuses lengths that no text has
  check_directory(directory);
  run.try_longest();
  const int64_t done = run.resume(directory);
  cut_log(directory / "log.jsonl", done);
  // The run may have been killed between its last checkpoint and the compressor.
  if (done == options.steps) compressor.save(directory);
  for (int64_t number = done + 1; number <= options.steps; ++number) {
    const TrainingStep step = run.take(number);
    append_log(directory / "log.jsonl", step);
    const bool go_on = !on_step || on_step(step);
    if (!go_on || number % options.checkpoint_every == 0 || number == options.steps)
      run.save(directory, number);
    if (!go_on) return;
  }
}

}  // namespace precis
