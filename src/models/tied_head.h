// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "precis/extend/decoder.h"
#include "precis/extend/weights.h"

namespace precis {

inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

// Whether logits are computed with the embedding, by the rule of transformers: if the configuration
// says so and the checkpoint has no head with other values. Throws as Weights::take_rows().
bool has_tied_head(const DecoderConfig& config, const Weights& weights);

// The name of the embedding tensor: the head's, if the head is tied and the checkpoint has only the
// head.
const char* embedding_name(bool tied_head, const Weights& weights);

}  // namespace precis
