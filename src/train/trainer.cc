// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <random>
#include <span>

#include "base/check.h"
#include "io/drafts.h"
#include "io/lock_file.h"
#include "train/checkpoint.h"
#include "train/embedding_loss.h"
#include "train/language_model_loss.h"
#include "train/trainer_options.h"
#include "train/training_log.h"

namespace precis {
namespace {

constexpr std::chrono::seconds kPatience(1);  // for a run that is about to end

class Run {
 public:
  Run(Compressor& compressor,
      const Decoder& decoder,
      const TrainingData& data,
      const TrainerOptions& options)
      : compressor_(compressor),
        decoder_(decoder),
        options_(options),
        sampler_(data.train, options.examples),
        max_segment_(compressor.info().max_segment),
        embedding_variance_(options.embedding_steps > 0 ? embedding_variance(decoder) : 0) {
    state_.recipe = describe_run(options, compressor, decoder, data);
    if (data.validation != nullptr && options.validate_every > 0)
      validation_ = draw_validation(*data.validation);
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
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    for (at::Tensor& parameter : parameters_) parameter.requires_grad_(false);
  }

  // The longest example that may be drawn has to pass: where the window is too small, that is found
  // out now rather than at some step.
  void try_longest() const {
    const c10::NoGradGuard no_grad;
    std::vector<TrainingExample> examples = sampler_.longest();
    const auto length = [](const TrainingExample& example) {
      return example.segment.tokens.size() + example.prompt.size() + example.targets.size();
    };
    if (!validation_.empty())
      examples.push_back(*std::ranges::max_element(validation_, {}, length));
    CompressOptions options;
    if (!options_.ratios.empty()) options.ratio = std::ranges::min(options_.ratios);
    for (const TrainingExample& example : examples) {
      predict(decoder_, compressor_, {&example, 1}, options);
      if (options_.chained_share == 0) continue;
      CompressOptions chained = options;
      chained.chaining = Chaining::kConcat;
      chained.segment = chain_segment(std::ssize(example.segment.tokens));
      predict(decoder_, compressor_, {&example, 1}, chained);
    }
  }

  int64_t resume(const std::filesystem::path& directory) {
    CheckpointState found = load_checkpoint(directory, state_.recipe, compressor_, *optimizer_);
    PRECIS_CHECK(found.step <= options_.last_step(),
                 kBadWeights,
                 directory.string(),
                 ": the checkpoint is of step ",
                 found.step,
                 " of ",
                 options_.last_step());
    found.recipe = state_.recipe;
    state_ = std::move(found);
    return state_.step;
  }

  TrainingStep take(int64_t number) {
    const auto start = std::chrono::steady_clock::now();
    TrainingStep step;
    step.step = number;
    step.learning_rate = learning_rate(options_, number);
    for (auto& group : optimizer_->param_groups()) group.options().set_lr(step.learning_rate);
    optimizer_->zero_grad();
    const std::vector<TrainingExample> examples = draw(number);
    std::optional<RecomputeActivations> less_memory;
    if (options_.recompute) less_memory.emplace();
    const CompressOptions drawn = drawn_options(number);
    step.loss = number <= options_.embedding_steps ? add_embedding_gradients(examples, drawn)
                                                   : add_gradients(examples, drawn);
    step.gradient_norm = torch::nn::utils::clip_grad_norm_(parameters_, options_.clip_norm);
    check_finite(step);
    optimizer_->step();
    for (const TrainingExample& example : examples) {
      step.tokens += std::ssize(example.segment.tokens) + std::ssize(example.prompt) +
                     std::ssize(example.targets);
    }
    step.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return step;
  }

  // Whether a step is one after which validation is due.
  bool validates(int64_t step) const {
    return !validation_.empty() &&
           (step % options_.validate_every == 0 || step == options_.last_step());
  }

  // The mean loss over the validation examples. The compressor is saved as the best one if it is.
  double validate(const std::filesystem::path& best) {
    const c10::NoGradGuard no_grad;
    double loss = 0;
    if (options_.ratios.empty()) loss = validation_loss({});
    for (const double ratio : options_.ratios) {
      CompressOptions options;
      options.ratio = ratio;
      loss += validation_loss(options) / static_cast<double>(options_.ratios.size());
    }
    if (loss < state_.best_validation) {
      state_.best_validation = loss;
      compressor_.save(best);
    }
    return loss;
  }

  void save(const std::filesystem::path& directory, int64_t step) {
    state_.step = step;
    save_checkpoint(directory, state_, compressor_, *optimizer_);
    compressor_.save(directory);
  }

 private:
  std::vector<TrainingExample> draw(int64_t step) const {
    const StepLengths lengths = sampler_.lengths(step);
    std::vector<TrainingExample> examples;
    for (int64_t i = 0; i < options_.batch; ++i) {
      const uint64_t index = static_cast<uint64_t>(step) * options_.batch + i;
      examples.push_back(sampler_.draw(index, lengths));
    }
    return examples;
  }

  // As long as can be, and always the same; what is distilled in training is predicted here, so
  // that losses of runs compare.
  std::vector<TrainingExample> draw_validation(const TokenDataset& data) const {
    ExampleOptions options = options_.examples;
    options.seed = 0;
    options.objectives.continuation += options.objectives.distil;
    options.objectives.distil = 0;
    const ExampleSampler sampler(data, options);
    std::vector<TrainingExample> examples;
    for (int64_t i = 0; i < options_.validation_examples; ++i)
      examples.push_back(sampler.draw(i, {options.lengths.max_older, sampler.lengths(i).kept}));
    return examples;
  }

  double validation_loss(const CompressOptions& options) const {
    const size_t size = options_.batch / options_.accumulate;
    double sum = 0, count = 0;
    for (size_t first = 0; first < validation_.size(); first += size) {
      const auto examples =
          std::span(validation_).subspan(first, std::min(size, validation_.size() - first));
      const PredictedBatch batch = predict(decoder_, compressor_, examples, options);
      const auto tokens = static_cast<double>(batch.targets.size(0));
      sum += tokens * cross_entropy(decoder_, batch, /*backward=*/false);
      count += tokens;
    }
    return sum / count;
  }

  static double num_targets(std::span<const TrainingExample> examples) {
    double sum = 0;
    for (const TrainingExample& example : examples)
      sum += static_cast<double>(example.targets.size());
    return sum;
  }

  // Mean loss of a predicted token, read in as many passes as were asked for. How many tokens are
  // predicted is known once all are read: a memory without rows of its own predicts none.
  double add_gradients(std::span<const TrainingExample> examples, const CompressOptions& options) {
    const int64_t size = options_.batch / options_.accumulate;
    const double most = num_targets(examples);
    double sum = 0, predicted = 0;
    for (int64_t first = 0; first < options_.batch; first += size) {
      const auto batch = predict(decoder_, compressor_, examples.subspan(first, size), options);
      const auto tokens = static_cast<double>(batch.targets.size(0));
      sum += tokens * cross_entropy(decoder_, batch, /*backward=*/true, tokens / most);
      predicted += tokens;
    }
    if (predicted < most) scale_gradients(most / predicted);
    return sum / predicted;
  }

  void scale_gradients(double factor) {
    for (at::Tensor& parameter : parameters_)
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(factor);
  }

  // The loss in variances of the embeddings: 1 is what the same row for every text reaches.
  double add_embedding_gradients(std::span<const TrainingExample> examples,
                                 const CompressOptions& options) {
    const int64_t size = options_.batch / options_.accumulate;
    const double share = 1.0 / static_cast<double>(options_.accumulate);
    const double scale = share / std::max(embedding_variance_, 1e-12);
    double loss = 0;
    for (int64_t first = 0; first < options_.batch; first += size) {
      loss += scale * embedding_loss(decoder_,
                                     compressor_,
                                     examples.subspan(first, size),
                                     options,
                                     /*backward=*/true,
                                     scale);
    }
    return loss;
  }

  static void check_finite(const TrainingStep& step) {
    PRECIS_CHECK(std::isfinite(step.loss) && std::isfinite(step.gradient_norm),
                 kInvalidArgument,
                 "training: step ",
                 step.step,
                 " has a loss of ",
                 step.loss,
                 " and a gradient norm of ",
                 step.gradient_norm,
                 "; try a smaller learning rate, a longer warm-up or tighter clipping, in another "
                 "directory");
  }

  CompressOptions drawn_options(int64_t step) const {
    std::mt19937_64 random(options_.examples.seed * 0x9e3779b97f4a7c15u +
                           static_cast<uint64_t>(step));
    CompressOptions drawn;
    if (!options_.ratios.empty()) drawn.ratio = options_.ratios[random() % options_.ratios.size()];
    if (static_cast<double>(random() >> 11) * 0x1.0p-53 >= options_.chained_share) return drawn;
    drawn.chaining = random() % 2 == 0 ? Chaining::kConcat : Chaining::kRecursive;
    drawn.segment = chain_segment(sampler_.lengths(step).older);
    return drawn;
  }

  // Parts of half the text, so that there is a chain.
  int64_t chain_segment(int64_t older) const {
    return std::max<int64_t>(1, std::min(max_segment_, older / 2));
  }

  Compressor& compressor_;
  const Decoder& decoder_;
  const TrainerOptions& options_;
  CheckpointState state_;
  ExampleSampler sampler_;
  std::vector<TrainingExample> validation_;
  int64_t max_segment_;        // asked once: with it comes a hash of all weights
  double embedding_variance_;  // 0 where there are no embedding steps
  std::vector<at::Tensor> parameters_;
  std::unique_ptr<torch::optim::AdamW> optimizer_;
};

void make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  PRECIS_CHECK(
      !error, kInvalidArgument, directory.string(), ": cannot be created: ", error.message());
}

}  // namespace

// A run writes its compressor after a checkpoint.
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
  Run run(compressor, decoder, data, options);  // refuses lengths that no text has
  check_output_directory(directory);
  make_directory(directory);
  const LockFile lock(directory, kPatience);
  run.try_longest();
  remove_drafts(directory);
  remove_drafts(directory / "best");
  const int64_t done = run.resume(directory);
  TrainingLog log(directory / "log.jsonl");
  log.cut(done);
  // The run may have been killed between its last checkpoint and the compressor.
  if (done == options.last_step()) {
    compressor.save(directory);
    log.plot();
  }
  for (int64_t number = done + 1; number <= options.last_step(); ++number) {
    TrainingStep step = run.take(number);
    if (run.validates(number)) step.validation_loss = run.validate(directory / "best");
    log.append(step);
    const bool continuation = !on_step || on_step(step);
    if (!continuation || number % options.checkpoint_every == 0 || number == options.last_step()) {
      run.save(directory, number);
      log.plot();
    }
    if (!continuation) return;
  }
}

}  // namespace precis
