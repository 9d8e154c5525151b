// SPDX-License-Identifier: Apache-2.0
#include "refine/mean_divergence.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "ops/vocabulary_loss.h"
#include "refine/read_behind.h"

namespace precis {
namespace {

// Samples of one context that are read together.
template <typename Sample>
struct Pass {
  bool in_chat = false;
  int64_t num_tokens = 0;
  std::vector<Sample*> samples = {};
};

template <typename Sample>
std::vector<Pass<Sample>> passes_of(std::span<Sample* const> samples, int64_t tokens_per_pass) {
  std::vector<Pass<Sample>> passes;
  for (const bool in_chat : {false, true}) {
    bool is_open = false;
    for (Sample* sample : samples) {
      if (sample->in_chat != in_chat) continue;
      if (!is_open || passes.back().num_tokens >= tokens_per_pass) passes.push_back({in_chat});
      is_open = true;
      passes.back().num_tokens += sample->num_read();
      passes.back().samples.push_back(sample);
    }
  }
  return passes;
}

// Hidden states that predict the samples' ids, [sum of num_predicted, hidden].
template <typename Sample>
at::Tensor read(const SplicedPrompt& beginning, const Pass<Sample>& pass, const Decoder& decoder) {
  std::vector<IdsBehind> sequences;
  for (const Sample* sample : pass.samples)
    sequences.push_back(
        {std::span(sample->ids).first(sample->num_read()), sample->num_predicted()});
  return read_behind(beginning, sequences, decoder);
}

double total_weight(std::span<const RefineSample* const> samples) {
  double total = 0;
  for (const RefineSample* sample : samples)
    total += sample->weight * static_cast<double>(sample->num_predicted());
  return total;
}

// The weighted sum over a pass, [] float64. Logits of one sample at a time, since those of a pass
// would be its largest tensor. scale: of the gradient.
at::Tensor divergence_of(const at::Tensor& hidden,
                         std::span<const RefineSample* const> samples,
                         const Decoder& decoder,
                         bool backward,
                         double scale) {
  const at::Tensor leaf = hidden.detach().requires_grad_(backward);
  at::Tensor sum = at::zeros({}, hidden.options().dtype(at::kDouble));
  int64_t first = 0;
  for (const RefineSample* sample : samples) {
    const at::Tensor logits = decoder.logits(leaf.narrow(0, first, sample->num_predicted()));
    const at::Tensor gradient = backward ? at::empty_like(logits) : at::Tensor();
    {
      const c10::NoGradGuard no_grad;
      sum += sample->weight * ops::divergence_sum(logits.detach(),
                                                  decoder.logits(sample->teacher),
                                                  scale * sample->weight,
                                                  gradient);
    }
    if (backward) logits.backward(gradient);
    first += sample->num_predicted();
  }
  if (backward) hidden.backward(leaf.grad());
  return sum;
}

}  // namespace

void add_teacher(std::span<RefineSample> samples,
                 const ReadContexts& contexts,
                 const Decoder& decoder,
                 int64_t tokens_per_pass) {
  const c10::NoGradGuard no_grad;
  std::vector<RefineSample*> all;
  for (RefineSample& sample : samples) all.push_back(&sample);
  for (const Pass<RefineSample>& pass :
       passes_of(std::span<RefineSample* const>(all), tokens_per_pass)) {
    const at::Tensor hidden = read(contexts.of(pass.in_chat).with_full_text(), pass, decoder);
    int64_t first = 0;
    for (RefineSample* sample : pass.samples) {
      sample->teacher = hidden.narrow(0, first, sample->num_predicted());
      first += sample->num_predicted();
    }
  }
}

double mean_divergence(std::span<const RefineSample* const> samples,
                       const RefinedTensors& memory,
                       const ReadContexts& contexts,
                       const Decoder& decoder,
                       int64_t tokens_per_pass,
                       bool backward) {
  const c10::AutoGradMode gradients(backward);
  const double total = total_weight(samples);
  double sum = 0;
  for (const Pass<const RefineSample>& pass : passes_of(samples, tokens_per_pass)) {
    // The memory anew for each pass, whose graph ends with it.
    const SplicedPrompt beginning = contexts.of(pass.in_chat).with_memory(memory.memory());
    sum +=
        divergence_of(read(beginning, pass, decoder), pass.samples, decoder, backward, 1.0 / total)
            .item<double>();
  }
  return sum / total;
}

}  // namespace precis
