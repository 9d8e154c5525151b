// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "compressors/compressor_files.h"
#include "precis/extend/adapter.h"
#include "precis/extend/compressor.h"

namespace precis {

// Gisting (Mu, Li and Goodman, NeurIPS 2023, arXiv 2304.08467): one pass of the model over
//   before_text, segment, gist x k
// computes the keys and values of the k gists in every layer. They are the memory: the model reads
// them in place of the text and continues at the position after them. Nothing else is kept, which
// has the effect of the paper's attention mask: tokens after the gists do not attend to tokens
// before them. Gists that are spread over the text are computed in a second pass, over the cached
// keys and values of the text.
struct GistingConfig {
  enum class Form {
    // Over a frozen model: trained embeddings of the gists and a LoRA on q, k and v that acts on
    // the gists alone, as in conditional LoRA (Kim et al., arXiv 2312.03414).
    kFrozen,
    // Over a model that was itself tuned with gists, as in the paper: they are one token of its
    // vocabulary, k times, and the compressor has no weights of its own.
    kTuned,
  };

  Form form = Form::kFrozen;
  int64_t num_gists = 1;  // k, where there is no ratio
  // Frozen form: text tokens for each gist, so that a longer text has more gists. All gists then
  // share one trained embedding, as in the paper, and num_gists is 1.
  std::optional<double> ratio;
  std::optional<TokenId> gist_id;  // tuned form: 32000 in the published models; frozen form: none
  // Frozen form with a ratio. false: gists follow the text, as published. true: they are spread
  // over it (as in Zhang et al., 2024, arXiv 2401.03462). Each has the position of the last token
  // of its equal share and attends to what that token attended to; its embedding is that token's
  // plus the trained one, which starts at zero. An untrained gist therefore equals its token, which
  // the model can read. Keys and values of the first token read, the attention sink, are kept, too.
  // Texts longer than max_segment are read in chunks. The memory keeps the positions of its text:
  // it saves cache, not room in the window.
  bool spread_positions = false;
  int64_t rank = 16;    // frozen form: rank of the LoRA; 0: no LoRA
  double alpha = 32.0;  // frozen form: the LoRA is scaled by alpha / rank
  int64_t max_segment = 512;
  // The template, in ids of this model's vocabulary. before_text is read with the segment: BOS,
  // "Instruction:". The others are the template of MemoryUse::kInstruct.
  std::vector<TokenId> before_text;
  std::vector<TokenId> after;  // between the memory and the text that follows: "Input:"
  std::vector<TokenId> end;    // after that text: "\nOutput:"
};

// The trained part of the frozen form, float32 (float64 over a float64 model).
struct GistingWeights {
  at::Tensor embeddings;  // [num_gists, hidden], with the model's embedding scale applied
  // Empty without a LoRA. The last layer has no LoRA on queries, since the gists' attention outputs
  // there are not used. Scales are taken from the configuration.
  Adapter adapter;
};

// The tuned form has a compressor.safetensors too, without tensors: all methods have the same
// files, so that a lost one is noticed.
std::unique_ptr<Compressor> load_gisting(const CompressorFiles& files, const Decoder& decoder);

// Initial weights for training: every gist embedding is the model's mean embedding, or zero for
// spread gists; the LoRA's A is drawn uniformly from +-1 / sqrt(hidden), its B is zero.
std::unique_ptr<Compressor> create_gisting(const GistingConfig& config,
                                           const Decoder& decoder,
                                           uint64_t seed = 1);

// Throws kInvalidArgument for values out of range, for ids outside the vocabulary, for a tuned
// form without a gist id, for spread gists of that form or without a ratio, and for weights of
// another shape.
std::unique_ptr<Compressor> make_gisting(const GistingConfig& config,
                                         GistingWeights weights,
                                         const Decoder& decoder);

}  // namespace precis
