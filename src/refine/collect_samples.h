// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "refine/refine_contexts.h"
#include "refine/refine_options.h"
#include "refine/refine_prompts.h"
#include "refine/refine_sample.h"
#include "refine/refine_timer.h"

namespace precis {

struct RefineSamples {
  std::vector<RefineSample> train;
  std::vector<RefineSample> held_out;  // measured, never trained on
};

// Samples of what may follow a text: continuations, answers to requests, questions that the model
// asks and their answers, all drawn by the model that reads the full text, and passages of the text
// itself, which cost no sampling. Sampling ends with its share of the time. Passages are held out
// only where nothing else can be. Samples that would not fit the model's window are left out, and
// both lists may be empty. Throws kCancelled. REQUIRES: gradients off.
RefineSamples collect_samples(std::span<const TokenId> text,
                              const RefinePrompts& prompts,
                              const ReadContexts& contexts,
                              const Decoder& decoder,
                              const RefineOptions& options,
                              const RefineTimer& timer);

}  // namespace precis
