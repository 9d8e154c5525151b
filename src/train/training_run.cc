// SPDX-License-Identifier: Apache-2.0
#include "train/training_run.h"

#include <c10/core/GradMode.h>
#include <torch/nn/utils/clip_grad.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/check.h"
#include "train/embedding_loss.h"
#include "train/language_model_loss.h"
#include "train/step_gradients.h"
#include "train/trainer_options.h"

namespace precis {
namespace {

torch::optim::AdamWOptions adamw_options(const TrainerOptions& options) {
  return torch::optim::AdamWOptions(options.learning_rate)
      .betas({0.9, 0.98})
      .weight_decay(options.weight_decay);
}

std::vector<at::Tensor> trainable(Compressor& compressor) {
  std::vector<at::Tensor> parameters;
  for (const NamedTensor& named : compressor.parameters()) {
    parameters.push_back(named.tensor);
    parameters.back().requires_grad_(true);
  }
  return parameters;
}

void check_finite(const TrainingStep& step) {
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

}  // namespace

TrainingRun::TrainingRun(Compressor& compressor,
                         const Decoder& decoder,
                         const TrainingData& data,
                         const TrainerOptions& options)
    : compressor_(compressor),
      decoder_(decoder),
      options_(options),
      // info() hashes all weights, so it is asked once.
      sampler_(data.train, options, compressor.info().max_segment),
      embedding_variance_(options.embedding_steps > 0 ? embedding_variance(decoder) : 0) {
  state_.recipe = describe_run(options, compressor, decoder, data);
  if (data.validation != nullptr && options.validate_every > 0)
    validation_.emplace(*data.validation, options);
  parameters_ = trainable(compressor);
  optimizer_.emplace(parameters_, adamw_options(options));
}

TrainingRun::~TrainingRun() {
  for (at::Tensor& parameter : parameters_) parameter.requires_grad_(false);
}

void TrainingRun::check_longest_examples() const {
  const c10::NoGradGuard no_grad;
  const auto length = [](const TrainingExample& example) {
    return example.segment.tokens.size() + example.prompt.size() + example.targets.size();
  };
  std::vector<TrainingExample> longest;
  if (validation_)
    longest.push_back(*std::ranges::max_element(validation_->examples(), {}, length));
  for (const StepBatch& batch : sampler_.longest(longest))
    predict(decoder_, compressor_, batch.examples, batch.options);
}

int64_t TrainingRun::resume(const std::filesystem::path& directory) {
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

TrainingStep TrainingRun::take_step(int64_t number) {
  const auto start = std::chrono::steady_clock::now();
  TrainingStep step;
  step.step = number;
  step.learning_rate = learning_rate(options_, number);
  for (auto& group : optimizer_->param_groups()) group.options().set_lr(step.learning_rate);
  optimizer_->zero_grad();
  const StepBatch batch = sampler_.draw(number);
  step.loss = add_gradients(batch, number);
  step.gradient_norm = torch::nn::utils::clip_grad_norm_(parameters_, options_.clip_norm);
  check_finite(step);
  optimizer_->step();
  step.tokens = batch.num_tokens();
  step.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return step;
}

double TrainingRun::add_gradients(const StepBatch& batch, int64_t number) {
  if (number > options_.embedding_steps)
    return add_prediction_gradients(decoder_, compressor_, batch, options_.accumulate);
  return add_embedding_gradients(
      decoder_, compressor_, batch, options_.accumulate, embedding_variance_);
}

bool TrainingRun::validates_after(int64_t step) const {
  return validation_ && (step % options_.validate_every == 0 || step == options_.last_step());
}

double TrainingRun::validate(const std::filesystem::path& best) {
  const double loss = validation_->loss(decoder_, compressor_);
  if (loss < state_.best_validation) {
    state_.best_validation = loss;
    compressor_.save(best);
  }
  return loss;
}

void TrainingRun::save_checkpoint(const std::filesystem::path& directory, int64_t step) {
  state_.step = step;
  precis::save_checkpoint(directory, state_, compressor_, *optimizer_);
}

void TrainingRun::save_compressor(const std::filesystem::path& directory) const {
  compressor_.save(directory);
}

}  // namespace precis
