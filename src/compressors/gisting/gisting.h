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
// before them. Gists that are spread over the text are read in a second pass over its keys and
// values.
struct GistingConfig {
  enum class Form {
    // Over a frozen model: trained embeddings of the gists and a LoRA on q, k and v that acts on
    // them
    // alone, as in conditional LoRA (Kim et al., arXiv 2312.03414).
    kFrozen,
    // Over a model that was itself tuned with gists, as in the paper: they are one token of its
    // vocabulary, k times, and the compressor has no weights of its own.
    kTuned,
  };

  Form form = Form::kFrozen;
  int64_t num_gists = 1;  // k, where there is no ratio
  // Frozen form: text tokens for each gist, so that a longer text has more of them; then one
  // trained embedding is every gist's, as in the paper, and num_gists is 1.
  std::optional<double> ratio;
  std::optional<TokenId> gist_id;  // tuned form: 32000 in the published models; frozen form: none
  // Frozen form with a ratio. As published, gists follow the text. Spread over it (as in Zhang et
  // al., 2024, arXiv 2401.03462), each has the position of the last token of its share: its
  // embedding is that token's plus the trained one, which starts at zero, and it attends to what
  // that token attended to. Untrained, a gist is its token, which the model can read. Keys and
  // values of the first token read, the attention sink, are kept, too. Longer texts are read in
  // chunks. The memory keeps the positions of its text: it saves cache, not room in the window.
  bool spread_positions = false;
  int64_t rank = 16;    // frozen form: of the LoRA; 0: there is none
  double alpha = 32.0;  // frozen form: the LoRA is scaled by alpha / rank
  int64_t max_segment = 512;
  // Ids of this model's vocabulary, as the template has them. Text before the gists is read with
  // the segment: BOS, "Instruction:". The rest is the template of MemoryUse::kInstruct.
  std::vector<TokenId> before_text;
  std::vector<TokenId> after;  // between the memory and the text that follows: "Input:"
  std::vector<TokenId> end;    // after that text: "\nOutput:"
};

// The trained part of the frozen form, float32 (float64 over a float64 model).
struct GistingWeights {
  at::Tensor embeddings;  // [num_gists, hidden], as the model's embeddings are after their scale
  // No layers where there is no LoRA. The last layer's queries are not changed: what gists would
  // find with them is read by nobody. Scales are taken from the configuration.
  Adapter adapter;
};

// The tuned form has a compressor.safetensors too, without tensors: the layout is one for all
// methods, and there is no doubt whether a file got lost.
std::unique_ptr<Compressor> load_gisting(const CompressorFiles& files, const Decoder& decoder);

// Initial weights for training: every gist is the mean embedding, or zero where gists are spread;
// the LoRA's A is drawn uniformly with the bound 1 / sqrt(hidden), its B is zero.
std::unique_ptr<Compressor> create_gisting(const GistingConfig& config,
                                           const Decoder& decoder,
                                           uint64_t seed = 1);

// Throws kInvalidArgument for numbers out of range, for ids outside the vocabulary, for a tuned
// form without a gist id, for spread gists of that form or without a ratio, and for weights of
// another shape.
std::unique_ptr<Compressor> make_gisting(const GistingConfig& config,
                                         GistingWeights weights,
                                         const Decoder& decoder);

}  // namespace precis
