// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "precis/extend/decoder.h"
#include "precis/token.h"
#include "prompt/splice.h"

namespace precis {

// A prompt of nothing, for score().
SplicedPrompt empty_prompt(const Decoder& decoder);

// Negative log-likelihoods in nats of the ids after the prompt, from id prompt.first_scored() on.
// Throws kBadWeights if one is not finite. REQUIRES: more than first_scored() ids.
std::vector<double> score(const Decoder& decoder,
                          const SplicedPrompt& prompt,
                          std::span<const TokenId> ids);

}  // namespace precis
