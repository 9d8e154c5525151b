// SPDX-License-Identifier: Apache-2.0
#include "refine/refine.h"

#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "refine/collect_samples.h"
#include "refine/mean_divergence.h"
#include "refine/refine_contexts.h"
#include "refine/refine_steps.h"
#include "refine/refine_timer.h"
#include "refine/refined_tensors.h"

namespace precis {
namespace {

RefineSamples samples_with_teachers(std::span<const TokenId> text,
                                    const RefinePrompts& prompts,
                                    const ReadContexts& contexts,
                                    const Decoder& decoder,
                                    const RefineOptions& options,
                                    const RefineTimer& timer) {
  const c10::NoGradGuard no_grad;
  RefineSamples samples = collect_samples(text, prompts, contexts, decoder, options, timer);
  // Where nothing can be trained or measured, or no time is left for it.
  if (samples.train.empty() || samples.held_out.empty() || !timer.has_left(0)) return {};
  for (std::vector<RefineSample>* part : {&samples.train, &samples.held_out})
    add_teacher(*part, contexts, decoder, 2 * options.tokens_per_step);
  return samples;
}

MemoryTensors best_memory(const RefineSteps& steps, RefinedTensors& refined) {
  const c10::NoGradGuard no_grad;
  refined.set_changes(*steps.best());
  return refined.memory();
}

}  // namespace

void check_refinable(int64_t num_tokens,
                     const RefinePrompts& prompts,
                     const Decoder& decoder,
                     const RefineOptions& options) {
  const int64_t window = decoder.config().context_length;
  const int64_t needed = std::ssize(prompts.plain.before_text) + num_tokens + options.sample_tokens;
  PRECIS_CHECK(needed <= window,
               kInvalidArgument,
               "refine: a text of ",
               num_tokens,
               " tokens, which the model has to read in full, and ",
               options.sample_tokens,
               " tokens behind it do not fit the model's window of ",
               window,
               "; compress it without refining, or in parts");
}

RefineResult refine(const MemoryTensors& memory,
                    std::span<const TokenId> text,
                    const RefinePrompts& prompts,
                    const Decoder& decoder,
                    const RefineOptions& options) {
  check_refinable(std::ssize(text), prompts, decoder, options);
  const RefineTimer timer(options);
  const c10::InferenceMode with_gradients(false);  // callers may have turned them off
  timer.report();
  const ReadContexts contexts(prompts, text, decoder);
  const RefineSamples samples =
      samples_with_teachers(text, prompts, contexts, decoder, options, timer);
  RefineResult result{memory};
  result.num_train = std::ssize(samples.train);
  result.num_held_out = std::ssize(samples.held_out);
  if (!samples.train.empty()) {
    RefinedTensors refined(memory, options.rates);
    RefineSteps steps(refined, samples, contexts, decoder, options, timer);
    steps.run();
    result.given_loss = steps.given_loss();
    result.loss = steps.best_loss();
    result.steps = steps.num_steps();
    if (steps.best()) result.memory = best_memory(steps, refined);
  }
  timer.report_end();
  return result;
}

}  // namespace precis
