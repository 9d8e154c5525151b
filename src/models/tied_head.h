// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"

namespace precis {

inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

// Whether logits come from the embedding, as transformers decides it: where the configuration says
// so, unless there is a head with other numbers. Throws as Weights::take_rows().
bool has_tied_head(const DecoderConfig& config, const Weights& weights);

// The tensor that is the embedding: of a tied one, the head where it alone is there.
const char* embedding_name(bool tied_head, const Weights& weights);

}  // namespace precis
