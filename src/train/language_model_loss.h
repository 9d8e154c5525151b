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

// A segment and what is to be predicted from its memory: the segment itself (autoencode), what
// follows it (continue) or the answer to `prompt` (instruct). Of the losses of all methods only the
// uses differ: AE, LM and FT of ICAE, AE and FT of IC-Former, targets of SelfCP, completions of
// Gisting.
// Distilled examples learn what the frozen model predicts that reads the segment itself, which says
// more than the one token that did follow: the KL divergence of IC-Former's instruction tuning
// (section 3.3), for any method.
struct TrainingExample {
  Segment segment;
  std::vector<TokenId> targets;
  MemoryUse use = MemoryUse::kContinue;
  std::vector<TokenId> prompt = {};  // read after the memory; instruct: the question
  bool distils = false;
  std::vector<TokenId> before_text = {};  // BOS, read before the segment by the model that reads it
  // Ids read before memory and segment alike. With them there is no template: it is a chat's
  // beginning, and all that a chat puts behind the memory is in the prompt.
  std::optional<std::vector<TokenId>> chat = {};
};

// The batch as one graph: segments compressed, memories spliced in the template of their use before
// their targets, one pass of the decoder. Nothing may be drawn from a sequence that ends on a
// cached memory: where neither template nor prompt stands between, the first target is read, not
// predicted.
struct PredictedBatch {
  at::Tensor hidden;   // [n, hidden] final hidden states that predict
  at::Tensor targets;  // [n] int64
  // Of distilled examples:
  at::Tensor taught_rows = {};  // [m] int64, which of the n; undefined: none
  at::Tensor teacher = {};      // [m, hidden] the model's final hidden states over the text in full
};
// Throws kUnsupported for a use that the compressor was not made for, kInvalidArgument as
// compress() does and for examples with nothing to predict.
PredictedBatch predict(const Decoder& decoder,
                       const Compressor& compressor,
                       std::span<const TrainingExample> examples,
                       const CompressOptions& options);

// Mean loss in nats: the cross entropy of the targets, in taught rows the KL divergence of the
// model's own prediction from the teacher's. With `backward`, gradients are accumulated into the
// compressor's parameters, multiplied by `scale`; the logits only ever exist for a few rows at a
// time.
double cross_entropy(const Decoder& decoder,
                     const PredictedBatch& batch,
                     bool backward,
                     double scale = 1.0);

}  // namespace precis
