// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "precis/extend/tokenizer.h"

namespace precis {

// Where the gists of a sequence stand; no gists have size 0.
struct GistSpan {
  int64_t first = 0;
  int64_t size = 0;
};

// What the rows behind the gists may attend to, beside each other (Mu et al., arXiv 2304.08467, 3).
enum class GistAttention {
  kGist,             // the gists, and nothing before them
  kPositiveControl,  // everything: the prompt is not compressed at all
  kNegativeControl,  // neither the gists nor what stands before them
};

// Throws kInvalidArgument unless all ids `gist_id` follow each other.
GistSpan find_gists(std::span<const TokenId> ids, TokenId gist_id);

// Which row (first dimension) may attend to which, [num_rows, num_rows] bool on the CPU, causality
// included: for a model that is tuned with gists, whose cached pass this describes. The first
// `left_padding` rows are padding: no other row sees them, and each sees itself alone, since a
// softmax over nothing is not a number. Without gists every row sees all rows up to itself. Throws
// kInvalidArgument for a span or a padding that the rows do not hold, or that overlap.
at::Tensor gist_mask(int64_t num_rows,
                     const GistSpan& gists,
                     GistAttention attention = GistAttention::kGist,
                     int64_t left_padding = 0);

}  // namespace precis
