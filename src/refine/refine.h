// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "precis/extend/decoder.h"
#include "precis/extend/memory_tensors.h"
#include "refine/refine_options.h"
#include "refine/refine_prompts.h"

namespace precis {

struct RefineResult {
  MemoryTensors memory;   // the given one, unless a better one was found
  double given_loss = 0;  // of the given memory: mean_divergence() of the held-out samples
  double loss = 0;        // of the returned one; at most given_loss
  int64_t steps = 0;      // that were taken
  int64_t num_train = 0;  // samples that were trained on
  int64_t num_held_out = 0;
};

// Throws kInvalidArgument for a text that, with what is read around it and a sample behind it, does
// not fit the model's window: the model has to read it in full.
void check_refinable(int64_t num_tokens,
                     const RefinePrompts& prompts,
                     const Decoder& decoder,
                     const RefineOptions& options);

// Changes a memory of `text` by gradient steps (Adam) on its own tensors, embeddings or keys and
// values, so that the frozen model predicts after it what it predicts after the full text:
// KL(full text || memory) of the next token, over samples that the model draws behind the full text
// and passages of the text (context distillation; of keys and values: Cartridges, Eyuboglu et al.
// 2025, arXiv 2506.06266). Some samples are held out. The memory with the lowest divergence on
// these is returned, or the given one itself where none is lower, or where there is time for no
// sample. Ends with the time, after max_steps, or when the held-out divergence no longer falls;
// takes a step less rather than more time, but the text is read and the samples are measured once
// in any case. Throws as check_refinable(), kCancelled if options.progress returns false.
RefineResult refine(const MemoryTensors& memory,
                    std::span<const TokenId> text,
                    const RefinePrompts& prompts,
                    const Decoder& decoder,
                    const RefineOptions& options);

}  // namespace precis
