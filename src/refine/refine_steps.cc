// SPDX-License-Identifier: Apache-2.0
#include "refine/refine_steps.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>

#include "refine/mean_divergence.h"

namespace precis {
namespace {

// The second moment forgets faster than Adam's default: there are some dozens of steps in all.
torch::optim::AdamOptions adam_options(double rate) {
  return torch::optim::AdamOptions(rate).betas({0.9, 0.95});
}

std::vector<torch::optim::OptimizerParamGroup> groups_of(const RefinedTensors& memory) {
  std::vector<torch::optim::OptimizerParamGroup> groups;
  for (const RefinedTensors::Part& part : memory.parts())
    groups.emplace_back(std::vector<at::Tensor>{part.change},
                        std::make_unique<torch::optim::AdamOptions>(adam_options(part.rate)));
  return groups;
}

}  // namespace

RefineSteps::RefineSteps(RefinedTensors& memory,
                         const RefineSamples& samples,
                         const ReadContexts& contexts,
                         const Decoder& decoder,
                         const RefineOptions& options,
                         const RefineTimer& timer)
    : memory_(memory),
      samples_(samples),
      contexts_(contexts),
      decoder_(decoder),
      options_(options),
      timer_(timer),
      optimizer_(groups_of(memory)),
      random_(options.seed),
      start_(timer.elapsed()) {
  given_loss_ = best_loss_ = held_out_loss();
}

void RefineSteps::run() {
  // The given memory already predicts what the text does.
  if (!std::isfinite(given_loss_) || given_loss_ < options_.min_gain) return;
  bool is_checked = true;
  while (has_time() && checks_without_gain_ < options_.patience && take_step()) {
    timer_.report();
    is_checked = steps_ % options_.check_every == 0;
    if (is_checked) check();
  }
  if (!is_checked) check();
}

// Whether the time is enough for a step and for measuring what it gave.
bool RefineSteps::has_time() const {
  if (options_.max_steps > 0 && steps_ >= options_.max_steps) return false;
  return timer_.has_left(step_seconds_ + check_seconds_);
}

bool RefineSteps::take_step() {
  const double start = timer_.elapsed();
  optimizer_.zero_grad();
  const double loss = mean_divergence(next_samples(),
                                      memory_,
                                      contexts_,
                                      decoder_,
                                      2 * options_.tokens_per_step,
                                      /*backward=*/true);
  if (!std::isfinite(loss)) return false;
  const double share = rate();
  for (size_t i = 0; i < optimizer_.param_groups().size(); ++i)
    optimizer_.param_groups()[i].options().set_lr(share * memory_.parts()[i].rate);
  optimizer_.step();
  ++steps_;
  step_seconds_ = std::max(step_seconds_, timer_.elapsed() - start);
  return true;
}

double RefineSteps::held_out_loss() {
  const double start = timer_.elapsed();
  std::vector<const RefineSample*> held_out;
  for (const RefineSample& sample : samples_.held_out) held_out.push_back(&sample);
  const double loss = mean_divergence(held_out,
                                      memory_,
                                      contexts_,
                                      decoder_,
                                      2 * options_.tokens_per_step,
                                      /*backward=*/false);
  check_seconds_ = std::max(check_seconds_, timer_.elapsed() - start);
  return loss;
}

void RefineSteps::check() {
  const double loss = held_out_loss();
  ++checks_without_gain_;
  if (!(loss < best_loss_ - options_.min_gain)) return;
  best_loss_ = loss;
  best_ = memory_.changes();
  checks_without_gain_ = 0;
}

// The next samples of a shuffled round, of at least tokens_per_step tokens, or all of them.
std::vector<const RefineSample*> RefineSteps::next_samples() {
  std::vector<const RefineSample*> chosen;
  int64_t tokens = 0;
  while (tokens < options_.tokens_per_step && chosen.size() < samples_.train.size()) {
    if (queue_.empty()) {
      for (const RefineSample& sample : samples_.train) queue_.push_back(&sample);
      std::shuffle(queue_.begin(), queue_.end(), random_);
    }
    chosen.push_back(queue_.back());
    queue_.pop_back();
    tokens += chosen.back()->num_read();
  }
  return chosen;
}

// Share of the learning rates: a short warm-up, then a cosine over the time or the steps.
double RefineSteps::rate() const {
  const double time = std::max(timer_.limit() - start_, 1e-9);
  const double done = options_.max_steps > 0
                          ? static_cast<double>(steps_) / static_cast<double>(options_.max_steps)
                          : (timer_.elapsed() - start_) / time;
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::clamp(done, 0.0, 1.0)));
  const double warm = static_cast<double>(steps_ + 1) /
                      static_cast<double>(std::max<int64_t>(1, options_.warmup_steps));
  return std::min(1.0, warm) * (options_.final_rate + (1 - options_.final_rate) * cosine);
}

}  // namespace precis
