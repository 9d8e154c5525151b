// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "refine/refine_contexts.h"
#include "refine/refine_sample.h"
#include "refine/refined_tensors.h"

namespace precis {

// Runs the model that reads the full text over the samples: their `teacher`. Passes read about
// `tokens_per_pass` tokens.
void add_teacher(std::span<RefineSample> samples,
                 const ReadContexts& contexts,
                 const Decoder& decoder,
                 int64_t tokens_per_pass);

// KL divergence of the predictions behind the memory from those behind the full text, in nats a
// token, weighted by sample. With `backward`, its gradient is accumulated into the changes of
// `memory`. REQUIRES: one sample or more, with a teacher.
double mean_divergence(std::span<const RefineSample* const> samples,
                       const RefinedTensors& memory,
                       const ReadContexts& contexts,
                       const Decoder& decoder,
                       int64_t tokens_per_pass,
                       bool backward);

}  // namespace precis
