// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <vector>

#include "precis/extend/compressor.h"
#include "precis/extend/decoder.h"
#include "precis/extend/segment.h"

namespace precis {

// A segment, and targets to be predicted from its memory: the segment itself (autoencode), the text
// that follows it (continue) or the answer to `prompt` (instruct). The methods' losses differ in
// their uses only: AE, LM and FT of ICAE, AE and FT of IC-Former, targets of SelfCP, completions of
// Gisting.
// Distilled examples learn the distribution that the frozen model predicts when it reads the
// segment itself, which holds more than the one token that followed: the KL divergence of
// IC-Former's instruction tuning (section 3.3), for any method.
struct TrainingExample {
  Segment segment;
  std::vector<TokenId> targets;
  MemoryUse use = MemoryUse::kContinue;
  std::vector<TokenId> prompt = {};  // read after the memory; instruct: the question
  bool distils = false;
  std::vector<TokenId> before_text = {};  // the BOS that the teacher reads before the segment
  // The first ids of a chat, read before the memory, and by the teacher before the segment. There
  // is then no template: everything that the chat puts behind the memory is in `prompt`.
  std::optional<std::vector<TokenId>> chat = {};
};

// A batch as one graph: segments are compressed, their memories spliced into the template of their
// use before their targets, and the decoder reads everything in one pass (with
// recompute_activations, if a segment has it). A cached memory has no hidden state to predict from:
// if neither template nor prompt follows it, the first target is read, not predicted.
struct PredictedBatch {
  at::Tensor hidden;   // [n, hidden] final hidden states, one for each target
  at::Tensor targets;  // [n] int64
  // Of distilled examples:
  at::Tensor taught_indices = {};  // [m] int64, indices into `hidden`; undefined: none
  at::Tensor teacher = {};         // [m, hidden] final hidden states of the teacher
};
// Throws kUnsupported for a use that the compressor was not made for, kInvalidArgument as
// compress() does and for examples with nothing to predict.
PredictedBatch predict(const Decoder& decoder,
                       const Compressor& compressor,
                       std::span<const TrainingExample> examples,
                       const CompressOptions& options);

// Mean loss in nats: the cross entropy of the targets, or, in taught_indices, the KL divergence of
// the prediction from the teacher's. With `backward`, gradients are accumulated into the
// compressor's parameters, multiplied by `scale`. Logits are computed in chunks, since those of a
// whole batch would be the largest tensor of a training step.
double cross_entropy(const Decoder& decoder,
                     const PredictedBatch& batch,
                     bool backward,
                     double scale = 1.0);

}  // namespace precis
